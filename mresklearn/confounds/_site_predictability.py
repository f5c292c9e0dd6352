"""How well site can be read from features, against what age alone says of it."""

from functools import partial
from numbers import Integral

import numpy as np
import pandas as pd
from sklearn.model_selection import check_cv
from sklearn.utils import Bunch, check_array, check_random_state

from .._metadata import check_labels, name_rows
from ._site_probe import age_tables, balanced_accuracy, predict_site, scaled_views

__all__ = ["deal_folds", "site_predictability"]


def site_predictability(
    X, site, *, age=None, groups=None, cv=5, probe="linear", random_state=0, n_jobs=None
):
    r"""Measure how well a probe reads site from features, and how much of that age explains.

    Where sites differ in age, features that carry age carry site. So the balanced accuracy of a
    site probe must be read against `age_floor`, what age alone says of the site, and not against
    ``chance = 1 / n_sites``. Only `excess`, what the features add to age, speaks of a site effect.

    Parameters
    ----------
    X : array-like of shape (n_rows, n_features)
        Embedding, region table or other features; finite numbers in any unit.
    site : array-like of shape (n_rows,)
        Site of each row.
    age : array-like of shape (n_rows,), default=None
        Age in years. Without it `age_floor` and `excess` are NaN.
    groups : array-like of shape (n_rows,), default=None
        Person of each row; all rows of one person fall in one fold. None: every row is a person of
        its own.
    cv : int, splitter or iterable of (train, test), default=5
        Number of folds (at least 2), each with the same share of every site, or any splitter or
        folds that hold out every row exactly once. A splitter gets the sites as ``y``.
    probe : {"linear", "rbf"}, default="linear"
        Linear discriminant with a shrunk covariance, or a support vector machine with a Gaussian
        kernel, which also sees curved and scale differences between sites. Both weight sites
        equally.
    random_state : int, RandomState instance or None, default=0
        Seed of the draw of the folds, where `cv` is an integer.
    n_jobs : int or None, default=None
        Folds fitted at the same time, as in joblib.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        With the attributes:

        balanced_accuracy : float
            Balanced accuracy of the probe on `X`, from pooled out-of-fold predictions, in [0, 1].
        chance : float
            Balanced accuracy of guessing, ``1 / n_sites``.
        age_floor : float
            Balanced accuracy of the same probe on a cubic spline of age; NaN without `age`.
        excess : float
            Balanced accuracy of the probe on `X` with the spline of age, minus `age_floor`; NaN
            without `age`. Near 0: no site beyond age. Below 0: the features cost the probe more,
            as noise, than they add; read it as 0.
        fold_scores : ndarray of shape (n_folds,)
            Balanced accuracy on `X` of each fold, over the sites that the fold holds.
        n_sites : int
            Number of sites.

    Raises
    ------
    ValueError
        If there is one site only, a site has fewer than 2 persons, a site, person or age is
        missing, `cv` exceeds the number of persons or does not hold out every row exactly once, as
        repeated and shuffled splits do not, or a fold cannot be used.

    Notes
    -----
    With :math:`\hat s` the out-of-fold prediction of the site :math:`s`, one of K,

    .. math:: BA = \frac{1}{K} \sum_{k=1}^{K} P(\hat s = k \mid s = k).

    Why 1/K is the wrong reference: features z that are independent of site have the same
    :math:`E[h(z) \mid s]` at all sites, whatever the head h. Hence every prediction of an age y
    from them has

    .. math:: E[(y - h(z))^2] \ge \mathrm{Var}(E[y \mid s]) = \eta^2 \, \mathrm{Var}(y),

    with :math:`\eta^2` the correlation ratio of age on site. It is the regression form of the lower
    bound of [1]_ on the errors of two domains S and T under a shared representation,

    .. math::
        \varepsilon_S + \varepsilon_T \ge \tfrac{1}{2}
        \left(d_{JS}(Y_S, Y_T) - d_{JS}(Z_S, Z_T)\right)^2 .

    So features at BA = 1/K, where age differs by site, have lost age as well. Under the floor means
    that biology went with the site, or that the probe is too weak for the number of features.

    The covariance of the linear probe is shrunk as in [2]_; the other probe has C = 1. Columns are
    scaled one by one, as mixed units need, or together, which keeps the geometry of principal
    components and embeddings, where small columns are noise: whichever reads more of the site from
    a third of the training fold held out, since a probe with the wrong scaling would understate
    the site. Beside X, the spline of age has the total variance of X, so that many features do not
    drown it. Folds are drawn by dealing the persons, shuffled within site, in turn.

    References
    ----------
    .. [1] Zhao, H., Tachet des Combes, R., Zhang, K., Gordon, G. J. (2019). On learning invariant
       representations for domain adaptation. ICML, PMLR 97, 7523-7532.
    .. [2] Ledoit, O., Wolf, M. (2004). A well-conditioned estimator for large-dimensional
       covariance matrices. Journal of Multivariate Analysis 88, 365-411.

    Examples
    --------
    Three sites that differ in age, and a feature that is age with noise:

    >>> import numpy as np
    >>> from mresklearn.confounds import site_predictability
    >>> rng = np.random.default_rng(0)
    >>> site = np.repeat(["Delaware", "Mayo", "Utah"], 40)
    >>> age = rng.normal(np.repeat([30, 50, 70], 40), 10)
    >>> feature = age[:, np.newaxis] + rng.normal(0, 2, (120, 1))
    >>> result = site_predictability(feature, site, age=age)
    >>> bool(result.balanced_accuracy > 2 * result.chance)  # far above 1/3 ...
    True
    >>> bool(abs(result.excess) < 0.05)  # ... yet nothing beyond age
    True

    The same feature with an offset that differs by site:

    >>> shifted = feature + np.repeat([0, 40, 0], 40)[:, np.newaxis]
    >>> bool(site_predictability(shifted, site, age=age).excess > 0.1)
    True
    """
    X = check_array(X, dtype=[np.float64, np.float32], input_name="X")
    if probe not in ("linear", "rbf"):
        raise ValueError(f"probe must be 'linear' or 'rbf', got {probe!r}.")
    codes, names = check_labels(site, len(X), name="site")
    persons = (
        np.arange(len(X)) if groups is None else check_labels(groups, len(X), name="groups")[0]
    )
    _check_persons_per_site(codes, names, persons)
    folds = _folds(cv, X, codes, persons, random_state, grouped=groups is not None)
    predict = partial(predict_site, probe, codes=codes, folds=folds, n_jobs=n_jobs)

    views = scaled_views(X)
    predicted = predict(views, None)
    age_floor = excess = np.nan
    if age is not None:
        ages = age_tables(_check_age(age, len(X)), folds)
        age_floor = balanced_accuracy(codes, predict([], ages))
        excess = balanced_accuracy(codes, predict(views, ages)) - age_floor
    return Bunch(
        balanced_accuracy=balanced_accuracy(codes, predicted),
        chance=1 / len(names),
        age_floor=age_floor,
        excess=excess,
        fold_scores=np.array([balanced_accuracy(codes[t], predicted[t]) for _, t in folds]),
        n_sites=len(names),
    )


def _folds(cv, X, codes, persons, random_state, *, grouped):
    """List the (train, test) rows of each fold, checked for use by the probe."""
    if isinstance(cv, Integral) and not isinstance(cv, bool):
        folds = deal_folds(int(cv), codes, persons, random_state)
    else:
        # splitters that take no groups warn where they get some
        folds = list(check_cv(cv).split(X, codes, persons if grouped else None))
        _check_each_tested_once(folds, len(X))
    for train, test in folds:
        if len(np.unique(codes[train])) < 2:
            raise ValueError(
                "A training fold holds one site only, so a probe has nothing to tell apart. "
                "Use a cv that mixes the sites, for example cv=5."
            )
        if np.intersect1d(persons[train], persons[test]).size:
            raise ValueError(
                "The folds of cv split the rows of one person (groups) over training and test. "
                "Use a cv that keeps groups whole, for example cv=5 or StratifiedGroupKFold."
            )
    return folds


def _check_each_tested_once(folds, n_rows):
    rows = np.arange(n_rows)
    times = np.bincount(np.concatenate([rows[test] for _, test in folds]), minlength=n_rows)
    wrong = times != 1
    if wrong.any():
        raise ValueError(
            f"cv must hold out every row exactly once, but {np.sum(times == 0)} rows are never "
            f"held out and {np.sum(times > 1)} more than once: {name_rows(wrong, rows)}. Use a cv "
            "that divides the rows, for example cv=5, KFold or StratifiedGroupKFold."
        )


def deal_folds(n_folds, codes, persons, random_state):
    """Deal persons, sorted by site, to folds in turn: every site is spread, however small it is."""
    _, first_row, person = np.unique(persons, return_index=True, return_inverse=True)
    if not 2 <= n_folds <= len(first_row):
        raise ValueError(
            f"cv={n_folds} folds are not possible with {len(first_row)} persons: "
            f"choose a number from 2 to {len(first_row)}."
        )
    shuffled = check_random_state(random_state).permutation(len(first_row))
    fold = np.empty(len(first_row), dtype=int)
    fold[np.lexsort((shuffled, codes[first_row]))] = np.arange(len(first_row)) % n_folds
    return [
        (np.flatnonzero(fold[person] != k), np.flatnonzero(fold[person] == k))
        for k in range(n_folds)
    ]


def _check_age(age, n_rows):
    try:
        years = pd.Series(np.asarray(age, dtype=object)).to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise ValueError("age must hold ages in years, one number a row.") from error
    if len(years) != n_rows:
        raise ValueError(f"age has {len(years)} entries, but X has {n_rows} rows.")
    missing = ~np.isfinite(years)
    if missing.any():
        raise ValueError(
            f"age is missing in {missing.sum()} of {n_rows} rows: {name_rows(missing, age)}. "
            "Fill it in, or drop those rows."
        )
    return years


def _check_persons_per_site(codes, names, persons):
    if len(names) < 2:
        raise ValueError(
            f"site_predictability needs at least 2 sites, but all rows come from {names[0]!r}: "
            "there is no site to predict."
        )
    n_persons = [len(np.unique(persons[codes == code])) for code in range(len(names))]
    small = [name for name, count in zip(names, n_persons, strict=True) if count < 2]
    if small:
        raise ValueError(
            f"Sites with fewer than 2 persons cannot be both learned and tested: {small}. "
            "Drop their rows, or give them the name of a site with the same scanner and protocol."
        )
