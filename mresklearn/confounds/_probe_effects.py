"""What probes read of the site beyond age, against exchanges of sites among people of like age."""

import numpy as np

from ._effect import Effect, not_estimable, permutation_p
from ._intervals import bounded
from ._site_predictability import deal_folds
from ._site_probe import age_tables, balanced_accuracy, predict_site, scaled_views

__all__ = ["age_strata", "probe_age", "probe_features"]

N_FOLDS = 5
N_BOOTSTRAP = 1000
FEWEST_ROWS = 20
FEWEST_A_SITE = 3
# five in each stratum of a test fold
ROWS_PER_STRATUM = 25
MOST_STRATA = 10


def probe_features(
    features, codes, age, probe, *, n_permutations, confidence, random_state, n_jobs=None
):
    """Measure how well a probe reads the site from features, and from features beside age.

    Parameters
    ----------
    features : ndarray of shape (n_rows, n_features)
        Images, embedding or prediction.
    codes : ndarray of int of shape (n_rows,)
        Sites.
    age : ndarray of shape (n_rows,)
        Age in years.
    probe : {"linear", "rbf"}
        As in :func:`site_predictability`, whose numbers and folds these are.
    n_permutations : int
        Exchanges of sites among people of one test fold and age stratum.
    confidence : float
        Level of the intervals, over people drawn anew within sites.
    random_state : numpy Generator
        Draws the permutations and the people.
    n_jobs : int or None
        Folds at the same time.

    Returns
    -------
    accuracy, excess : Effect
        ``balanced_accuracy_<probe>`` of the features, with that of age alone for a null mean; and
        ``excess_<probe>``, that of features and age less that of age, which has a mean of 0 or
        slightly less without an effect. p is of the excess.
    n_rows : int
        People at sites of two and more.

    Notes
    -----
    Predictions are made once, out of fold, and held fixed: an exchange gives other true sites, not
    other predictions. Where features say nothing beyond age, excess is as high for exchanged sites.
    The folds share training people, which the permutations ignore, so that of simulated cohorts
    without an effect 5 to 8 % have p below 0.05.
    """
    names = f"balanced_accuracy_{probe}", f"excess_{probe}"
    kept = np.flatnonzero(np.bincount(codes)[codes] > 1)
    _, codes = np.unique(codes[kept], return_inverse=True)
    problem = _problem(codes)
    if problem:
        return *(not_estimable(name, problem) for name in names), len(kept)
    age, views = age[kept], scaled_views(features[kept] if len(kept) < len(features) else features)
    folds = deal_folds(N_FOLDS, codes, np.arange(len(codes)), 0)
    ages = age_tables(age, folds)
    alone, beside, of_age = (
        predict_site(probe, tables, columns, codes, folds, n_jobs)
        for tables, columns in ((views, None), (views, ages), ([], ages))
    )
    floor = balanced_accuracy(codes, of_age)
    strata = age_strata(age)
    excess, null = _exchanged(codes, [beside, of_age], folds, strata, n_permutations, random_state)
    draws = _redrawn(codes, [alone, beside, of_age], random_state)
    test = {"p": permutation_p(excess, null), "n_permutations": n_permutations}
    value = balanced_accuracy(codes, alone)
    return (
        _effect(names[0], value, floor, draws[0], confidence, **test),
        _effect(names[1], excess, 0.0, draws[1] - draws[2], confidence, **test),
        len(kept),
    )


def probe_age(codes, age, probe, *, n_permutations, confidence, random_state):
    """Measure what age alone says of the site: the floor that features are read against.

    Parameters
    ----------
    codes, age, probe, n_permutations, confidence, random_state
        As in :func:`probe_features`; sites are exchanged among all people of a test fold.

    Returns
    -------
    accuracy : Effect
        ``balanced_accuracy_<probe>`` of a spline of age, with guessing for a null mean.
    n_rows : int
        People at sites of two and more.
    """
    name = f"balanced_accuracy_{probe}"
    kept = np.flatnonzero(np.bincount(codes)[codes] > 1)
    _, codes = np.unique(codes[kept], return_inverse=True)
    problem = _problem(codes)
    if problem:
        return not_estimable(name, problem), len(kept)
    folds = deal_folds(N_FOLDS, codes, np.arange(len(codes)), 0)
    predicted = predict_site(probe, [], age_tables(age[kept], folds), codes, folds)
    strata = np.zeros(len(codes), dtype=int)
    value, null = _exchanged(codes, [predicted], folds, strata, n_permutations, random_state)
    draws = _redrawn(codes, [predicted], random_state)[0]
    test = {"p": permutation_p(value, null), "n_permutations": n_permutations}
    return _effect(name, value, 1 / (codes.max() + 1), draws, confidence, **test), len(kept)


def age_strata(age):
    """Cut ages into up to ten strata of 25 people and more, of nearly equal size."""
    n_strata = int(np.clip(len(age) // ROWS_PER_STRATUM, 1, MOST_STRATA))
    edges = np.unique(np.quantile(age, np.linspace(0, 1, n_strata + 1)[1:-1]))
    return np.searchsorted(edges, age, side="right")


def _problem(codes):
    if codes.max(initial=-1) < 1:
        return "Fewer than two sites have two people."
    if len(codes) < FEWEST_ROWS:
        return f"{len(codes)} people; {FEWEST_ROWS} are needed to train and test a probe."
    n_sites = codes.max() + 1
    if len(codes) < FEWEST_A_SITE * n_sites:
        return f"{len(codes)} people of {n_sites} sites; a probe needs {FEWEST_A_SITE} a site."
    return None


def _exchanged(codes, predictions, folds, strata, n_permutations, random_state):
    """Balanced accuracy of the first prediction less that of others, as is and exchanged."""
    weight = 1 / np.bincount(codes) / (codes.max() + 1)
    signs = [1] + [-1] * (len(predictions) - 1)

    def score(labels, test):
        hits = sum(
            sign * (labels == predicted[test])
            for sign, predicted in zip(signs, predictions, strict=True)
        )
        return np.sum(hits * weight[labels], axis=-1)

    value, null = 0.0, np.zeros(n_permutations)
    for _, test in folds:
        labels, groups = codes[test], strata[test]
        # rows of one stratum in a random order, put where the rows of that stratum are
        order = np.argsort(groups + random_state.random((n_permutations, len(test))), axis=1)
        exchanged = np.empty_like(order)
        exchanged[:, np.argsort(groups, kind="stable")] = labels[order]
        value += float(score(labels, test))
        null += score(exchanged, test)
    return value, null


def _redrawn(codes, predictions, random_state):
    """Balanced accuracy of predictions for people drawn anew within their sites."""
    hits = np.array([predicted == codes for predicted in predictions], dtype=float)
    draws = np.zeros((len(predictions), N_BOOTSTRAP))
    for site in range(codes.max() + 1):
        of_site = hits[:, codes == site]
        count = of_site.shape[1]
        drawn = random_state.multinomial(count, np.full(count, 1 / count), N_BOOTSTRAP)
        draws += of_site @ drawn.T / count
    return draws / (codes.max() + 1)


def _effect(measure, value, null_mean, draws, confidence, **test):
    low, high = np.quantile(draws, (0.5 - confidence / 2, 0.5 + confidence / 2))
    return Effect(
        measure,
        value=value,
        null_mean=null_mean,
        value_adj=value - null_mean,
        interval=bounded((low - null_mean, high - null_mean), least=-1.0),
        **test,
    )
