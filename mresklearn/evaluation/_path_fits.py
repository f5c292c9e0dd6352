"""One fit of the path: one setting on one fold, its errors by site, and the site it still tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils import Bunch, _safe_indexing

from ..confounds import site_predictability
from ..model_selection._fold_fitting import fit_rows, predict_rows, requested_keywords
from ..model_selection._site_folds import WITHIN, Fold

__all__ = ["PROBES", "fit_and_measure"]

PROBES = ("linear", "rbf")
MEASURES = ("balanced_accuracy", "age_floor", "excess")


def fit_and_measure(
    estimator: Any,
    cohort: Bunch,
    fold: Fold,
    setting: str,
    *,
    embedding: Callable | None,
    probe_seed: int,
) -> dict[str, Any]:
    """Fit one setting on one fold; probe its embedding where the fold holds people of known sites.

    Parameters
    ----------
    estimator : estimator
        With the setting; stays unfitted.
    cohort : Bunch
        X, y, metadata, and by row the codes of site and person; which sites are probed.
    fold : Fold
        A site left out, or one half of the people of every site.
    setting : str
        The setting in words, for the errors.
    embedding : callable or None
        As for :func:`invariance_path`.
    probe_seed : int
        Draws the folds of the probes, the same for every setting.

    Returns
    -------
    measured : dict
        ``errors``: mean absolute error of each site, NaN where it has no test rows here or, of
        halves, none to train on; and ``linear`` and ``rbf``, what `site_predictability` found, of
        halves only.
    """
    fitted = fit_rows(estimator, cohort.X, cohort.y, fold.train, cohort.metadata)
    predicted = predict_rows(fitted, cohort.X, fold.test, cohort.metadata)
    _check_predictions(predicted, fold.test, cohort, setting)
    errors = _errors_by_site(
        np.abs(predicted - cohort.y[fold.test]), cohort.codes[fold.test], len(cohort.names)
    )
    if fold.protocol != WITHIN:
        return {"errors": errors}
    # a site without training rows is not known to this model
    errors[~np.isin(np.arange(len(errors)), cohort.codes[fold.train])] = np.nan
    probed = fold.test[cohort.probed[cohort.codes[fold.test]]]
    values = _embed(fitted, cohort, probed, embedding, setting)
    return {"errors": errors} | {
        probe: _site_left(values, cohort, probed, probe, probe_seed) for probe in PROBES
    }


def _check_predictions(
    predicted: np.ndarray, rows: np.ndarray, cohort: Bunch, setting: str
) -> None:
    """Refuse predictions that are no number a row, before they become an error of NaN years."""
    if predicted.shape != rows.shape:
        raise ValueError(
            f"With {setting} the estimator predicts an array of shape {predicted.shape} for "
            f"{len(rows)} rows. invariance_path needs one age a row."
        )
    if not np.isfinite(predicted).all():
        first = rows[~np.isfinite(predicted)][0]
        raise ValueError(
            f"With {setting} the estimator predicts NaN or infinite ages, first in row {first} of "
            f"site {cohort.names[cohort.codes[first]]!r}. Leave this value out, or make the "
            "training stable (a lower learning rate, say)."
        )


def _errors_by_site(errors: np.ndarray, codes: np.ndarray, n_sites: int) -> np.ndarray:
    """Average over the rows of each site."""
    counts = np.bincount(codes, minlength=n_sites)
    # row by row, not through weights: the same sum, bit for bit, as a search computes
    return np.array(
        [errors[codes == code].mean() if counts[code] else np.nan for code in range(n_sites)]
    )


def _embed(
    fitted: Any, cohort: Bunch, rows: np.ndarray, embedding: Callable | None, setting: str
) -> np.ndarray:
    """Return what the probe reads, one finite row of numbers a person."""
    X = _safe_indexing(cohort.X, rows)
    if embedding is not None:
        values, source = embedding(fitted, X), "embedding(fitted_estimator, X)"
    elif hasattr(fitted, "transform"):
        given = requested_keywords(fitted, "transform", cohort.metadata)
        given = {name: _safe_indexing(column, rows) for name, column in given.items()}
        values, source = fitted.transform(X, **given), "estimator.transform"
    else:
        values, source = predict_rows(fitted, cohort.X, rows, cohort.metadata), "estimator.predict"
    values = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
    if values.ndim == 0 or len(values) != len(rows):
        raise ValueError(
            f"{source} returned an array of shape {values.shape} for {len(rows)} rows. The site "
            "probe needs one row of features for each row of X."
        )
    values = values.reshape(len(rows), -1).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(
            f"With {setting}, {source} returned NaN or infinite numbers, so the site probe cannot "
            "read them. Leave this value out, or make the training stable."
        )
    return values


def _site_left(
    values: np.ndarray, cohort: Bunch, rows: np.ndarray, probe: str, seed: int
) -> dict[str, float]:
    """Read the site from people who had no part in the fit."""
    found = site_predictability(
        values,
        cohort.codes[rows],
        age=cohort.y[rows],
        groups=cohort.persons[rows] if cohort.repeated else None,
        probe=probe,
        random_state=seed,
    )
    return {name: float(found[name]) for name in MEASURES}
