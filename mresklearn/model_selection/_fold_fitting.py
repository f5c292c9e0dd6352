"""Fit on some rows and predict others, with the site and the persons where the estimator asks."""

import inspect

import numpy as np
from sklearn import get_config
from sklearn.base import clone
from sklearn.utils import _safe_indexing
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import _check_method_params

__all__ = ["fit_rows", "predict_rows", "requested_keywords", "set_seed"]


def fit_rows(estimator, X, y, rows, metadata, params=None):
    """Fit a clone on some rows.

    Parameters
    ----------
    estimator : estimator
        Stays unfitted.
    X : array-like of shape (n_rows, ...)
        Maps, paths or features; sliced, not read.
    y : array-like of shape (n_rows,)
        Target.
    rows : ndarray of int
        Training rows.
    metadata : dict of array-like of shape (n_rows,)
        What the estimator may ask for in `fit`, such as site.
    params : dict or None, default=None
        Further keywords of `fit`, passed in any case; arrays of n_rows entries are sliced.
    """
    keywords = _sliced(requested_keywords(estimator, "fit", metadata), rows)
    keywords |= _check_method_params(X, params=params or {}, indices=rows)
    return clone(estimator).fit(_safe_indexing(X, rows), _safe_indexing(y, rows), **keywords)


def predict_rows(fitted, X, rows, metadata):
    """Return the predictions for some rows, in float64; `metadata` as for :func:`fit_rows`."""
    keywords = _sliced(requested_keywords(fitted, "predict", metadata), rows)
    return np.asarray(fitted.predict(_safe_indexing(X, rows), **keywords), dtype=np.float64)


def set_seed(estimator, seed):
    """Return a clone in which every `random_state`, also of nested estimators, is `seed`."""
    estimator = clone(estimator)
    names = estimator.get_params(deep=True)
    seeded = [name for name in names if name.rsplit("__", 1)[-1] == "random_state"]
    return estimator.set_params(**dict.fromkeys(seeded, seed))


def requested_keywords(estimator, method, metadata):
    """Keep the keywords that a method takes: those it routes, or, without routing, names itself."""
    if get_config()["enable_metadata_routing"]:
        names = get_routing_for_object(estimator).consumes(method, metadata)
    else:
        names = inspect.signature(getattr(estimator, method)).parameters
    return {name: values for name, values in metadata.items() if name in names}


def _sliced(keywords, rows):
    return {name: _safe_indexing(values, rows) for name, values in keywords.items()}
