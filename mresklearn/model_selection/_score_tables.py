"""Tables of scores from out-of-fold predictions, averaged over seeds and repeats."""

import numpy as np
import pandas as pd

from ..metrics import brain_age_scores

__all__ = ["absolute_errors", "fold_table", "site_table", "summary_table"]

_SHOWN = ("mae", "rmse", "r", "r2", "relative_mae", "bias", "gap_slope")
_DRAW = ["seed", "repeat"]


def summary_table(predictions, scoring):
    """One row a protocol, over all people, with the mean over sites and the worst site.

    Parameters
    ----------
    predictions : DataFrame
        As returned by cross_validate_sites.
    scoring : dict of callable
        Further scores, ``(y_true, y_pred) -> float``.
    """
    rows = {}
    for protocol, frame in predictions.groupby("protocol", sort=False):
        scores = _mean_over_draws(frame, scoring)
        by_seed = frame.assign(error=_absolute(frame)).groupby("seed").error.mean()
        by_site = _mae_by_site(frame)
        rows[protocol] = {
            "n_people": frame.person.nunique(),
            "n_sites": frame.site.nunique(),
            **scores,
            "mae_sd_over_seeds": by_seed.std(ddof=1) if len(by_seed) > 1 else np.nan,
            "mae_mean_of_sites": by_site.mean(),
            "mae_worst_site": by_site.max(),
            "worst_site": by_site.idxmax(),
        }
    return _frame(rows, ["protocol"])


def site_table(predictions, scoring):
    """One row a protocol and site."""
    rows = {
        key: {"n_people": frame.person.nunique(), **_mean_over_draws(frame, scoring)}
        for key, frame in predictions.groupby(["protocol", "site"], sort=False)
    }
    return _frame(rows, ["protocol", "site"])


def fold_table(predictions, scoring):
    """One row a protocol, repeat and fold, averaged over seeds."""
    keys = ["protocol", "repeat", "fold"]
    rows = {}
    for key, frame in predictions.groupby(keys, sort=False):
        one = frame[frame.seed == frame.seed.iloc[0]]
        sizes = {"n_train": int(one.n_train.iloc[0]), "n_test": len(one)}
        rows[key] = {**sizes, **_mean_over_draws(frame, scoring)}
    return _frame(rows, keys)


def absolute_errors(predictions, by):
    """Average the absolute error in cells of `by`, so that seeds are averaged before any test."""
    return predictions.assign(error=_absolute(predictions)).groupby(by).error.mean()


def _mean_over_draws(frame, scoring):
    """Score every seed and repeat by itself, then average."""
    scores = pd.DataFrame([_scores(draw, scoring) for _, draw in frame.groupby(_DRAW)])
    return scores.mean(skipna=False).to_dict()


def _scores(frame, scoring):
    """Score one seed of one repeat; the reference of R2 and MAE are the ages of each fold."""
    y, predicted = frame.y.to_numpy(), frame.prediction.to_numpy()
    scores = brain_age_scores(y, predicted)
    from_mean = np.sum((y - frame.train_mean) ** 2)
    from_median = np.sum(np.abs(y - frame.train_median))
    if len(y) >= 3:
        scores["r2"] = 1 - np.sum((y - predicted) ** 2) / from_mean if from_mean > 0 else np.nan
        error = np.sum(np.abs(y - predicted))
        scores["relative_mae"] = error / from_median if from_median > 0 else np.nan
    chosen = {name: scores[name] for name in _SHOWN}
    return {**chosen, **{name: score(y, predicted) for name, score in scoring.items()}}


def _mae_by_site(frame):
    return frame.assign(error=_absolute(frame)).groupby("site").error.mean()


def _absolute(frame):
    return (frame.prediction - frame.y).abs()


def _frame(rows, names):
    """Make a table of rows by key, where keys are tuples if there are several names."""
    if len(names) == 1:
        index = pd.Index(rows, name=names[0])
    else:
        index = pd.MultiIndex.from_tuples(rows, names=names)
    return pd.DataFrame(list(rows.values()), index=index)
