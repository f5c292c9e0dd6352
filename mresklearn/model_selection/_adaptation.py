"""Adapting a fitted model to a new site from scans alone."""

import copy
import inspect

from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline

__all__ = ["adapt_to_site", "can_adapt"]


def can_adapt(estimator):
    """Whether an estimator, a step of its pipeline or what its search tunes has ``adapt``."""
    if isinstance(estimator, Pipeline):
        return any(can_adapt(step) for _, step in estimator.steps)
    if isinstance(estimator, BaseSearchCV):
        return can_adapt(estimator.estimator)
    return hasattr(estimator, "adapt")


def adapt_to_site(fitted, X_new, *, site=None):
    """Adapt a fitted model to a new site from unlabelled rows of it, and leave the model as it was.

    A model can adapt if it has a method ``adapt(X_new)`` that takes rows of one new site, never
    their y, and returns a *new* fitted object of the same kind, for example a harmoniser that also
    knows the offsets of the new site. In a fitted pipeline each such step adapts to what the steps
    before it make of the rows; the other steps stay as they were fitted. Of a fitted search, the
    best estimator adapts.

    Parameters
    ----------
    fitted : estimator
        Fitted estimator, pipeline or search.
    X_new : array-like of shape (n_rows, ...)
        Rows of one new site, as for ``predict``.
    site : array-like of shape (n_rows,), default=None
        Site of each row, for steps whose ``adapt`` or ``transform`` has a keyword ``site``.

    Returns
    -------
    adapted : estimator
        A new fitted object of the same class.

    Raises
    ------
    TypeError
        If nothing in it can adapt, or an ``adapt`` returns the object itself, which would change
        the model for the other sites.

    See Also
    --------
    cross_validate_sites : Measures what adapting brings, as the transductive protocol.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.base import BaseEstimator, TransformerMixin
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from mresklearn.model_selection import adapt_to_site
    >>> class Centre(TransformerMixin, BaseEstimator):
    ...     def fit(self, X, y=None):
    ...         self.mean_ = X.mean(axis=0)
    ...         return self
    ...     def transform(self, X):
    ...         return X - self.mean_
    ...     def adapt(self, X_new):
    ...         return Centre().fit(X_new)
    >>> X = np.arange(8.0)[:, np.newaxis]
    >>> model = make_pipeline(Centre(), Ridge()).fit(X, 10 * X.ravel())
    >>> adapted = adapt_to_site(model, X + 100)
    >>> bool(np.allclose(adapted.predict(X + 100), model.predict(X)))
    True
    """
    if hasattr(fitted, "adapt"):
        adapted = fitted.adapt(X_new, **_site_if_named(fitted.adapt, site))
        if adapted is fitted:
            raise TypeError(
                f"{type(fitted).__name__}.adapt changed the fitted object itself. It must return a "
                "new one, so that predictions for the other sites stay as they were."
            )
        return adapted
    if not can_adapt(fitted):
        raise TypeError(
            f"{type(fitted).__name__} cannot adapt to a new site: neither it nor a step of it has "
            "a method adapt(X_new) that returns a new fitted object."
        )
    if isinstance(fitted, Pipeline):
        return _adapt_steps(fitted, X_new, site)
    adapted = copy.copy(fitted)
    adapted.best_estimator_ = adapt_to_site(fitted.best_estimator_, X_new, site=site)
    return adapted


def _adapt_steps(pipeline, rows, site):
    """Adapt the steps that can, each to the rows as the steps before it hand them on."""
    adapted = copy.copy(pipeline)
    adapted.steps = list(pipeline.steps)
    for position, (name, step) in enumerate(pipeline.steps):
        if step is None or isinstance(step, str):
            continue
        if can_adapt(step):
            step = adapt_to_site(step, rows, site=site)
            adapted.steps[position] = (name, step)
        if position < len(pipeline.steps) - 1:
            rows = step.transform(rows, **_site_if_named(step.transform, site))
    return adapted


def _site_if_named(method, site):
    named = site is not None and "site" in inspect.signature(method).parameters
    return {"site": site} if named else {}
