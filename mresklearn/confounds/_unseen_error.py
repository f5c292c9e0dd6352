"""How much larger errors are where the site of the people was left out of training."""

import numpy as np
from scipy import stats

from ..metrics import sign_flip_test
from ._effect import Effect, not_estimable, permutation_p
from ._site_error import FEWEST_AT_SITE

__all__ = ["unseen_error", "unseen_error_by_site"]

MEASURE = "unseen_site_error"
BY_SITE = "unseen_site_error_mean_of_sites"
FEWEST_SITES = 3
# with fewer, no choice of signs has a p below 0.05
FEWEST_SITES_TO_TEST = 6
SAME = "Both predictions are the same for everybody, so nothing is known of a site left out."


def unseen_error(known, unseen, codes, *, n_permutations, confidence, random_state):
    r"""Compare the errors of the same people at a site left out of training and at a known one.

    Parameters
    ----------
    known : ndarray of shape (n_rows,)
        Absolute error of each person, of a model trained on others of all sites.
    unseen : ndarray of shape (n_rows,)
        Absolute error of a model trained on the other sites only.
    codes : ndarray of int of shape (n_rows,)
        Sites; those of one person are to be left out before.
    n_permutations : int
        Random exchanges of the two errors of each person.
    confidence : float
        Level of the interval.
    random_state : numpy Generator
        Draws the exchanges.

    Returns
    -------
    effect : Effect
        ``value`` is the mean of `unseen`, ``null_mean`` that of `known`, ``value_adj`` the
        difference, in the unit of the errors.

    Notes
    -----
    With differences d of variance :math:`s_k^2` among the :math:`n_k` people of site k, the mean of
    all n has the variance

    .. math:: \sum_k n_k s_k^2 / n^2,

    which is what drawing people anew within their sites estimates (Cochran 1977, Sampling
    Techniques, section 5.3). Degrees of freedom are those of Satterthwaite (1946), Biometrics
    Bulletin 2, 110-114. So the interval speaks of further people at these sites. p is that of the
    studentised mean where signs of the differences are flipped (Janssen 1999, Statistics &
    Probability Letters 44, 203-213).
    """
    problem = _problem(known, unseen, codes)
    if problem:
        return not_estimable(MEASURE, problem)
    difference = unseen - known
    sites = np.eye(codes.max() + 1)[codes]
    sites = sites[:, sites.any(axis=0)]
    mean, variance, df = _stratified_mean(difference[None], sites)
    half = stats.t.ppf(0.5 + confidence / 2, df[0]) * np.sqrt(variance[0])
    signs = random_state.choice([-1.0, 1.0], size=(n_permutations, len(difference)))
    observed = _studentised(mean, variance)[0]
    null = _studentised(*_stratified_mean(signs * difference, sites)[:2])
    return Effect(
        MEASURE,
        value=float(unseen.mean()),
        null_mean=float(known.mean()),
        value_adj=float(mean[0]),
        interval=(float(mean[0] - half), float(mean[0] + half)),
        p=permutation_p(observed, null),
        n_permutations=n_permutations,
    )


def unseen_error_by_site(known, unseen, codes, *, n_permutations, confidence, random_state):
    """Compare the errors with every site counting alike, to speak of sites like these.

    The unit is the site: everybody at one site was predicted by one model that did not know it.

    Parameters
    ----------
    known, unseen, codes, n_permutations, confidence, random_state
        As for :func:`unseen_error`; permutations are drawn where there are more than 20 sites, and
        all choices of signs are counted otherwise.

    Returns
    -------
    effect : Effect
        Means over sites of at least three people, with an interval of Student's t over sites, and
        the p of :func:`~mresklearn.metrics.sign_flip_test`, from six sites on.
    """
    counts = np.bincount(codes)
    sites = np.flatnonzero(counts >= FEWEST_AT_SITE)
    n_sites = len(sites)
    if n_sites < FEWEST_SITES:
        reason = (
            f"Sites with {FEWEST_AT_SITE} people who have both predictions: {n_sites}; "
            f"{FEWEST_SITES} are needed to speak of sites."
        )
        return not_estimable(BY_SITE, reason)
    if np.array_equal(known, unseen):
        return not_estimable(BY_SITE, SAME)
    means = [np.bincount(codes, errors)[sites] / counts[sites] for errors in (known, unseen)]
    difference = means[1] - means[0]
    half = stats.t.ppf(0.5 + confidence / 2, n_sites - 1) * stats.sem(difference)
    p, flips, reason = np.nan, 0, ""
    if np.count_nonzero(difference) >= FEWEST_SITES_TO_TEST:
        seed = int(random_state.integers(2**31 - 1))
        test = sign_flip_test(difference, n_resamples=n_permutations, random_state=seed)
        p, flips = test.p_value, 2**n_sites if test.exact else n_permutations
    else:
        reason = (
            f"Not tested: {n_sites} sites cannot give a p below {2 / 2**n_sites:.2g}, whatever "
            "their errors."
        )
    return Effect(
        BY_SITE,
        value=float(means[1].mean()),
        null_mean=float(means[0].mean()),
        value_adj=float(difference.mean()),
        interval=(float(difference.mean() - half), float(difference.mean() + half)),
        p=p,
        n_permutations=flips,
        reason=reason,
    )


def _problem(known, unseen, codes):
    if len(known) < FEWEST_AT_SITE:
        return f"People with both predictions: {len(known)}; {FEWEST_AT_SITE} are needed."
    if np.bincount(codes).max() < 2:
        return "No site has two people with both predictions."
    return SAME if np.array_equal(known, unseen) else None


def _stratified_mean(differences, sites):
    """Return mean, its variance by sites, and degrees of freedom, of each row of differences."""
    counts = sites.sum(axis=0)
    n = counts.sum()
    sums = differences @ sites
    squares = differences**2 @ sites - sums**2 / counts
    parts = counts * np.maximum(squares, 0) / np.maximum(counts - 1, 1) / n**2
    variance = parts.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        df = variance**2 / np.sum(parts**2 / np.maximum(counts - 1, 1), axis=1)
    return sums.sum(axis=1) / n, variance, np.where(variance > 0, df, n - len(counts))


def _studentised(mean, variance):
    """Divide by the error; without any, all means but 0 are infinitely far from 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.abs(mean) / np.sqrt(variance)
    return np.where(variance > 0, ratio, np.where(mean == 0, 0.0, np.finfo(float).max))
