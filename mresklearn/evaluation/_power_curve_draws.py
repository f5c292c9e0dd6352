"""Many small studies at once: drawn from people at hand, and compared as compare_gaps compares.

With one row a person, all that :func:`~mresklearn.metrics.compare_gaps` computes is linear algebra
of small matrices, so hundreds of studies are fitted by one call. A shift of all patients changes
the difference by itself and neither the residuals nor the standard error, so any true difference,
none among them, is judged on the same draws.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from ..metrics._cluster_robust import SINGULAR
from ..metrics._gap_design import age_columns

__all__ = ["People", "areas", "chunk_of_studies", "compare_studies", "draw_studies"]

MOST_PAIRS = 2_000_000  # patients times controls, of all studies of a chunk: 16 MB a copy
MOST_STUDIES = 100


@dataclass(frozen=True, eq=False)
class People:
    """People at hand from whom studies are drawn.

    Attributes
    ----------
    gap, age : ndarray of shape (n_people,)
        In years.
    levels : ndarray of shape (n_people, n_levels)
        Indicators of sex and site, where these are held fixed.
    site : ndarray of int of shape (n_people,)
        Code of the site, where it is held fixed; else 0.
    age_terms : str
        As in compare_gaps.
    """

    gap: np.ndarray
    age: np.ndarray
    levels: np.ndarray
    site: np.ndarray
    age_terms: str


def chunk_of_studies(n_patients: int, n_controls: int) -> int:
    """How many studies are compared at once, by the memory that their pairs of people take."""
    return int(np.clip(MOST_PAIRS // (n_patients * n_controls), 1, MOST_STUDIES))


def draw_studies(
    pools: list[tuple[np.ndarray, np.ndarray]],
    units: np.ndarray,
    n_patients: int,
    n_controls: int,
    replacement: bool,
    seed: int,
) -> np.ndarray:
    """Draw rows, patients first, of one study for each of `units`, the pools drawn from."""
    random = np.random.RandomState(seed)
    return np.array(
        [
            np.concatenate(
                [
                    random.choice(pool, size, replace=replacement)
                    for pool, size in zip(pools[unit], (n_patients, n_controls), strict=True)
                ]
            )
            for unit in units
        ]
    )


def compare_studies(people: People, rows: np.ndarray, n_patients: int) -> dict[str, np.ndarray]:
    """Estimate the difference in each study, and bring gaps to mean covariates.

    Parameters
    ----------
    people : People
        People at hand.
    rows : ndarray of int of shape (n_studies, n_people)
        Who takes part, patients first.
    n_patients : int
        Patients of a study.

    Returns
    -------
    found : dict
        ``difference``, ``standard_error`` and ``df`` of each study, NaN where it cannot tell; and
        what :func:`areas` needs: ``adjusted``, the gaps of shape (n_studies, n_people), NaN for
        people who cannot be adjusted, ``covariates`` about their mean, and ``moves``, what leaving
        each person out adds to the covariate effects, both (n_studies, n_people, n_covariates).
    """
    gap = people.gap[rows]
    covariates = _covariates(people, rows)
    patient = np.zeros((*rows.shape, 1))
    patient[:, :n_patients] = 1
    basis, sizes, directions = np.linalg.svd(
        np.concatenate([covariates, patient], axis=2), full_matrices=False
    )
    kept = sizes > SINGULAR * sizes[:, :1]
    basis = basis * kept[:, np.newaxis]
    inverse = np.where(kept, 1 / np.where(kept, sizes, 1), 0)
    to_rows = np.einsum("snk,sk,skp->snp", basis, inverse, directions)
    coefficients = np.einsum("snp,sn->sp", to_rows, gap)
    fitted = np.einsum("snk,sk->sn", basis, np.einsum("snk,sn->sk", basis, gap))
    residuals = gap - fitted
    leverage = (basis**2).sum(axis=2)
    free = 1 - leverage
    alone = free < SINGULAR
    safe = np.where(alone, 1, free)

    weight = np.where(alone, 0, to_rows[:, :, -1] / np.sqrt(safe))
    square = weight**2
    lean = basis * weight[:, :, np.newaxis]
    norm = leverage * square
    crossed = np.einsum("snj,snk->sjk", lean, lean)
    trace_of_square = (square * (square - 2 * norm)).sum(axis=1) + (crossed**2).sum(axis=(1, 2))
    variance = ((weight * residuals) ** 2).sum(axis=1)

    # the direction of patients lies within what the design spans
    span = np.einsum("skp,sk,sk->sp", directions, kept, directions[:, :, -1])
    span[:, -1] -= 1
    answered = (np.linalg.norm(span, axis=1) < 1e-6) & (kept.sum(axis=1) < rows.shape[1])
    # people drawn twice may leave a design with rows enough that follows every gap exactly
    exact = np.abs(residuals).max(axis=1) <= 1e-9 * np.maximum(1, np.abs(gap).max(axis=1))
    answered &= (variance > 0) & (trace_of_square > 0) & ~exact
    # a difference that rests on one person has an error that cannot be told
    influence = np.abs(to_rows[:, :, -1])
    answered &= np.where(alone, influence, 0).max(axis=1) <= 1e-6 * influence.max(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        df = (square - norm).sum(axis=1) ** 2 / trace_of_square
    usable = ~alone & ~_apart(people.site[rows], n_patients)
    counts = np.maximum(usable.sum(axis=1), 1)[:, np.newaxis]
    mean = np.einsum("snk,sn->sk", covariates, usable.astype(float)) / counts
    centred = covariates - mean[:, np.newaxis]
    moves = -to_rows[:, :, :-1] * np.where(alone, 0, residuals / safe)[:, :, np.newaxis]
    # by effects that were estimated without the person
    predicted = np.einsum("snk,sk->sn", centred, coefficients[:, :-1])
    adjusted = gap - predicted - np.einsum("snk,snk->sn", centred, moves)
    return {
        "difference": np.where(answered, coefficients[:, -1], np.nan),
        "standard_error": np.where(answered, np.sqrt(variance), np.nan),
        "df": np.where(answered, df, np.nan),
        "adjusted": np.where(usable & answered[:, np.newaxis], adjusted, np.nan),
        "covariates": centred,
        "moves": moves,
    }


def _covariates(people: People, rows: np.ndarray) -> np.ndarray:
    """Ones, terms of age scaled within each study, and levels, of shape (n_studies, n, k)."""
    terms = [age_columns(age, people.age_terms) for age in people.age[rows]]
    width = max(term.shape[1] for term in terms)
    of_age = np.zeros((*rows.shape, width))
    for study, term in zip(of_age, terms, strict=True):
        study[:, : term.shape[1]] = term  # a study of people of one age has no terms
    return np.concatenate([np.ones((*rows.shape, 1)), of_age, people.levels[rows]], axis=2)


def _apart(site: np.ndarray, n_patients: int) -> np.ndarray:
    """Mark patients at sites without controls, of shape (n_studies, n)."""
    with_controls = np.zeros((len(site), site.max() + 1), dtype=bool)
    studies = np.arange(len(site))[:, np.newaxis]
    with_controls[studies, site[:, n_patients:]] = True
    return ~with_controls[studies, site]


def areas(
    compared: dict[str, np.ndarray], n_patients: int, shift: np.ndarray, confidence: float
) -> np.ndarray:
    """Area under the curve of each study and its bounds, as compare_gaps gives them.

    Parameters
    ----------
    compared : dict
        Of :func:`compare_studies`.
    n_patients : int
        Patients of a study, who come first.
    shift : ndarray of shape (n_studies,)
        Years to add to the gaps of patients.
    confidence : float
        Coverage of the intervals.

    Returns
    -------
    found : ndarray of shape (3, n_studies)
        Area, low and high; NaN where fewer than two people of a group are left, or, of the bounds,
        all gaps are equal.
    """
    scores = compared["adjusted"].copy()
    scores[:, :n_patients] += shift[:, np.newaxis]
    usable = np.isfinite(scores)
    m, n = usable[:, :n_patients].sum(axis=1), usable[:, n_patients:].sum(axis=1)
    groups = (slice(None, n_patients), slice(n_patients, None))
    with np.errstate(invalid="ignore", divide="ignore"):
        area, *counts = _ordered_pairs(scores, n_patients, m * n)
        slopes = _slopes(scores, n_patients, m * n, compared)
        influence = np.einsum("snk,sk->sn", compared["moves"], slopes)
        for group, count, own, others in zip(groups, counts, (m, n), (n, m), strict=True):
            placement = count / others[:, np.newaxis] - area[:, np.newaxis]
            part = -placement / (own - 1)[:, np.newaxis]
            influence[:, group] += np.where(usable[:, group], part, 0)
        variance = sum(
            (influence[:, group].shape[1] - 1) * influence[:, group].var(axis=1) for group in groups
        )
        margin = stats.norm.ppf((1 + confidence) / 2) * np.sqrt(variance) / (area * (1 - area))
        low, high = expit(logit(area) - margin), expit(logit(area) + margin)
        bound = ((1 - confidence) / 2) ** (1 / np.minimum(m, n))
    # the exact bounds of delong_ci where groups are fully apart
    low = np.select([area == 1, area == 0, variance > 0], [bound, 0.0, low], np.nan)
    high = np.select([area == 1, area == 0, variance > 0], [1.0, 1 - bound, high], np.nan)
    return np.where((m >= 2) & (n >= 2), [area, low, high], np.nan)


def _ordered_pairs(
    scores: np.ndarray, n_patients: int, n_pairs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the area, and the pairs in right order, ties as half, of each patient and control."""
    patients, controls = scores[:, :n_patients, np.newaxis], scores[:, np.newaxis, n_patients:]
    order = (patients > controls) + 0.5 * (patients == controls)
    of_patients = order.sum(axis=2)
    return of_patients.sum(axis=1) / n_pairs, of_patients, order.sum(axis=1)


def _slopes(
    scores: np.ndarray, n_patients: int, n_pairs: np.ndarray, compared: dict[str, np.ndarray]
) -> np.ndarray:
    """Differentiate the area by each covariate effect, over a step of about its standard error."""
    steps = np.sqrt((compared["moves"] ** 2).sum(axis=1))
    slopes = np.zeros(steps.shape)
    for column in range(1, steps.shape[1]):  # the ones move nobody
        step = steps[:, column]
        move = compared["covariates"][:, :, column] * step[:, np.newaxis]
        up, down = (_ordered_pairs(scores + sign * move, n_patients, n_pairs)[0]
                    for sign in (-1, 1))  # fmt: skip
        slopes[:, column] = np.where(step > 0, (up - down) / (2 * step), 0)
    return slopes
