"""Concordance of new people: what the same people give, less what fitting to them adds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..metrics._intervals import interval, levels
from ..metrics._repeat import draw_seeds, repeat
from ..metrics._resampling import Resampler
from ._concordance import comparable_pairs, share_concordant
from ._cox_data import CoxData

__all__ = ["concordance_table"]


class _Refit:
    """Concordance of the refitted models, on the people drawn and on all people.

    A class, and not a closure, so that workers can be sent it.
    """

    def __init__(self, data: CoxData, models: list[np.ndarray]) -> None:
        self.data, self.models = data, models
        self.resampler = Resampler(np.arange(len(data.duration)))
        self.events = np.flatnonzero(data.event)
        self.pairs = comparable_pairs(data.duration, data.event, data.stratum)

    def __call__(self, seed: int) -> Any:
        """Draw people with replacement; a row of [drawn, all] for each model."""
        rows = self.resampler.draw(seed)
        drawn = self.data.take(rows)
        found = np.full((len(self.models), 2), np.nan)
        pairs = comparable_pairs(drawn.duration, drawn.event, drawn.stratum)
        if not pairs.any():
            return found
        likelihood, events = drawn.likelihood(), np.flatnonzero(drawn.event)
        for position, columns in enumerate(self.models):
            others = np.setdiff1d(np.arange(drawn.matrix.shape[1]), columns)
            fit = likelihood.without(others).maximise()
            risk = risk_of(self.data.matrix[:, columns], fit.coefficients)
            found[position, 0] = share_concordant(risk[rows], events, pairs)
            found[position, 1] = share_concordant(risk, self.events, self.pairs)
        return found


def risk_of(matrix: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Log hazard ratio, rounded so that people with the same values are tied, as they should be."""
    return np.round(matrix @ coefficients, 9)


def concordance_table(
    data: CoxData,
    models: dict[str, np.ndarray],
    *,
    confidence: float,
    n_resamples: int,
    random: np.random.RandomState,
    n_jobs: int | None,
    verbose: int,
) -> tuple[pd.DataFrame, int]:
    """Concordance of each model and the difference of the first two; samples that gave none.

    The optimism is the mean, over samples, of the concordance on the people drawn less that of the
    same fit on all people (Harrell, Lee and Mark 1996).
    """
    refit = _Refit(data, list(models.values()))
    seeds = draw_seeds(random, n_resamples)
    drawn = repeat(refit, seeds, n_jobs=n_jobs, verbose=verbose, label="Concordance")
    lost = ~np.isfinite(drawn).all(axis=(1, 2))
    if lost.mean() > 0.05:
        raise ValueError(
            f"{lost.sum()} of {n_resamples} bootstrap samples hold nobody to compare: "
            f"{data.event.sum()} events in {data.stratum.max() + 1} strata are too few for an "
            "interval of the concordance. Pool strata."
        )
    drawn = drawn[~lost]
    likelihood = data.likelihood()
    apparent = np.empty(len(models))
    for position, columns in enumerate(models.values()):
        others = np.setdiff1d(np.arange(data.matrix.shape[1]), columns)
        fit = likelihood.without(others).maximise()
        risk = risk_of(data.matrix[:, columns], fit.coefficients)
        apparent[position] = share_concordant(risk, refit.events, refit.pairs)
    names = list(models)
    if len(models) == 2:
        names.append("difference")
        apparent = np.append(apparent, apparent[0] - apparent[1])
        drawn = np.concatenate([drawn, drawn[:, :1] - drawn[:, 1:2]], axis=1)
    at = levels(confidence, len(data.duration))
    rows = {}
    for position, name in enumerate(names):
        optimism = float((drawn[:, position, 0] - drawn[:, position, 1]).mean())
        corrected = apparent[position] - optimism
        # centred, since refitting to people drawn twice flatters each sample once more
        spread = drawn[:, position, 0] - drawn[:, position, 0].mean()
        low, high = interval(corrected + spread, at)
        least = -1.0 if name == "difference" else 0.0
        rows[name] = {
            "apparent": float(apparent[position]),
            "optimism": optimism,
            "corrected": float(corrected),
            "low": float(np.clip(low, least, 1)),
            "high": float(np.clip(high, least, 1)),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model"), int(lost.sum())
