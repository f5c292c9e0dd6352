"""invariance_path: accuracy and what is left of the site, over the weight of a penalty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils import Bunch, check_random_state, indexable
from sklearn.utils._param_validation import HasMethods, Interval, validate_params
from sklearn.utils.parallel import Parallel, delayed  # hand metadata routing on to the workers
from tqdm.auto import tqdm

from .._metadata import check_labels, number_of_rows, site_of_rows
from ..exceptions import MissingMetadataError
from ..metrics._checks import check_numbers
from ..model_selection._site_folds import left_out_folds, within_folds
from ._path_fits import fit_and_measure
from ._path_table import path_tables

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["InvariancePath", "invariance_path"]

# ten in a half, two in each of the five folds of the probe
FEWEST_PROBED = 20


@dataclass(frozen=True, eq=False)
class InvariancePath:
    """Accuracy and excess site predictability by setting; :func:`invariance_path` makes it.

    Attributes
    ----------
    table : DataFrame
        One value of the parameter a row, in ascending order, with the columns

        error_left_out, error_left_out_se : float
            Mean absolute error in years with each site left out of the training, averaged over
            sites, and the standard error of that average over sites.
        error_known : float
            Mean absolute error in years of new people at the known sites, averaged over sites, of
            models trained on the other half of the people: larger than all people would give.
        site_linear, site_rbf : float
            Balanced accuracy of each site probe on the embedding of people who had no part in the
            fit, in [0, 1].
        site_floor : float
            What age alone tells of the site, by the probe that it tells more.
        excess_linear, excess_rbf : float
            What the embedding adds to age; below 0 reads as 0.
        pareto : bool
            Whether no other setting is as good in both `error_left_out` and the larger excess (at
            least 0) and better in one of them.
        chosen : bool
            The setting that the one-standard-error rule takes.
    per_site : DataFrame
        Mean absolute error in years with the site (column) left out, by value (row).
    chosen : object
        Value that the one-standard-error rule takes, from `per_site` alone.
    parameter : str
        Name of the parameter.
    probed_sites, unprobed_sites : tuple of str
        Sites that the probes were asked to tell apart, and those with too few people for it, which
        count in the errors only.
    """

    table: pd.DataFrame = field(repr=False)
    per_site: pd.DataFrame = field(repr=False)
    chosen: Any
    parameter: str
    probed_sites: tuple[str, ...]
    unprobed_sites: tuple[str, ...]

    def plot(self, ax: Axes | None = None) -> Figure:
        """Draw the error at left-out sites against excess site predictability, setting by setting.

        Points are joined in order of the parameter and labelled with it. Those of the Pareto set
        are filled, the chosen one is ringed, bars are standard errors over sites. The lighter
        series is the error at known sites.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure of 6 by 4 inches.

        Returns
        -------
        figure : matplotlib Figure
            The figure that holds the axes.
        """
        from ._invariance_path_plot import draw_path  # matplotlib only where it is drawn

        return draw_path(self, ax)


@validate_params(
    {
        "estimator": [HasMethods(["fit", "predict", "set_params"])],
        "parameter": [str],
        "values": ["array-like"],
        "embedding": [callable, None],
        "n_repeats": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def invariance_path(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    site: Any = None,
    groups: Any = None,
    parameter: str = "penalty_weight",
    values: Sequence[float] = (0, 0.1, 0.3, 1, 3, 10),
    embedding: Callable | None = None,
    n_repeats: int = 1,
    n_jobs: int | None = None,
    random_state: int | np.random.RandomState | None = 0,
    verbose: int = 0,
) -> InvariancePath:
    r"""Measure accuracy and what is left of the site over the weight of an invariance penalty.

    A penalty is judged by two numbers that need not move together: the error at sites that the
    model has not seen, and how well the site can be read from its embedding beyond what age tells.
    This gives both for each weight, on training people, to be looked at.

    Give it the *training* sites only, and do not report its numbers as performance: the error of
    the chosen weight is the smallest, or nearly, of several, and so too good. What to report comes
    from an outer loop, :func:`~mresklearn.model_selection.cross_validate_sites` over
    :class:`~mresklearn.model_selection.SiteSearchCV`, which chooses inside the training sites of
    each fold by the rule that is used here.

    Parameters
    ----------
    estimator : regressor
        Fitted anew, as a clone, for every value and fold. Give the whole pipeline.
    X : DataFrame of paths, MapArray, or array-like of shape (n_rows, ...)
        Training people; sliced, not read.
    y : array-like of shape (n_rows,)
        Age in years.
    site : array-like of shape (n_rows,), default=None
        Site of each row, at least two. None: the sites that travel with the rows, in a column
        ``site`` of the DataFrame X or of X.metadata.
    groups : array-like of shape (n_rows,), default=None
        Person of each row, never in training and test, also where scanned at two sites. None: every
        row is a person.
    parameter : str, default="penalty_weight"
        What is varied; nested names such as ``"domaininvariantregressor__penalty_weight"`` work.
    values : array-like of float, default=(0, 0.1, 0.3, 1, 3, 10)
        Values to try, each once. Larger is taken to be the stronger guard against the site.
    embedding : callable or None, default=None
        What the probes read: ``embedding(fitted_estimator, X)`` returns one row of numbers for each
        row of X. None takes ``transform``, or, of an estimator without, the predictions.
    n_repeats : int, default=1
        New draws of the halves of people that known sites and site predictability are measured on.
        With few hundred people, differences in excess of a few hundredths are luck; repeats help.
    n_jobs : int or None, default=None
        Fits at the same time, as in joblib.
    random_state : int, RandomState instance or None, default=0
        Seed of the halves and of the folds of the probes. Wherever the estimator has a
        ``random_state`` of None it gets one seed drawn from this, the same for all values. A part
        that is left at None itself, such as a default encoder, has no seed to set: give one.
    verbose : int, default=0
        1 shows a progress bar over the fits.

    Returns
    -------
    path : InvariancePath
        With ``table``, ``per_site``, ``chosen`` and ``plot()``.

    Raises
    ------
    MissingMetadataError
        If there is no site.
    ValueError
        If there is one site only, fewer than two sites have 20 people (which the probes need), a
        site, person or age is missing, `values` are not distinct finite numbers, the estimator has
        no such parameter, or predictions or embeddings are not finite.

    See Also
    --------
    mresklearn.model_selection.SiteSearchCV : The choice alone, as an estimator for an outer loop.
    mresklearn.model_selection.cross_validate_sites : That outer loop.
    mresklearn.confounds.site_predictability : The probes, and why age is their floor.

    Notes
    -----
    **Error at left-out sites.** The folds, scores and choice of SiteSearchCV: with :math:`m_{ck}`
    the mean absolute error at site k of K when trained on the others with setting c, the table
    holds :math:`\bar m_c` and :math:`\mathrm{sd}_k(m_{ck}) / \sqrt K`, and the largest value that
    :func:`~mresklearn.model_selection.one_standard_error_rule` finds close to the best is chosen.
    A method without a rule to choose its settings is incomplete, and the site that is reported on
    has no part in it [1]_. Most of the standard error is how much harder one site is than another,
    which all settings share: compare settings by `per_site`.

    **Site predictability.** People of every site are split in halves, balanced by age; a model of
    one half embeds the other, in which two probes are cross-validated; both ways, averaged. People
    of the training rows would look more alike, or less, than new ones. Sites of fewer than 20
    people are not probed. It plays no part in the choice.

    **One does not follow from the other.** That sites cannot be told apart in an embedding bounds
    no error at a new one, since the relation of embedding and age can differ by site; and where
    sites differ in age, removing all of the site costs accuracy at each of them [2]_. Nor does it
    speak of directions in which only the new site moves. So the Pareto set shows what is given up,
    not what to take, and it is that of estimates: near ties are luck.

    **Outer loop.** Errors of a choice made on the same folds are biased downwards [3]_.

    With metadata routing off, `site` and `groups` reach an estimator whose `fit` has these keywords
    itself; in a pipeline let the site travel with the rows.

    References
    ----------
    .. [1] Gulrajani, I., Lopez-Paz, D. (2021). In search of lost domain generalization. ICLR.
    .. [2] Zhao, H., Tachet des Combes, R., Zhang, K., Gordon, G. J. (2019). On learning invariant
       representations for domain adaptation. ICML, PMLR 97, 7523-7532.
    .. [3] Cawley, G. C., Talbot, N. L. C. (2010). On over-fitting in model selection and subsequent
       selection bias in performance evaluation. JMLR 11, 2079-2107.

    Examples
    --------
    The weight that anchor regression gives to differences between sites:

    >>> import numpy as np
    >>> from mresklearn.evaluation import invariance_path
    >>> from mresklearn.harmonization import AnchorRegressor
    >>> rng = np.random.default_rng(0)
    >>> site = np.repeat(["Delaware", "Essen", "Mayo", "Utah"], 30)
    >>> age = rng.normal(np.repeat([35, 45, 55, 65], 30), 10)
    >>> X = age[:, np.newaxis] + rng.normal(0, [4, 8], (120, 2))
    >>> X[:, 0] += np.repeat([-20, 20, 20, -20], 30)
    >>> path = invariance_path(
    ...     AnchorRegressor(), X, age, site=site, parameter="gamma", values=(0, 1, 100)
    ... )
    >>> path.table[["error_left_out", "error_known", "excess_rbf", "chosen"]].round(1)
           error_left_out  error_known  excess_rbf  chosen
    gamma
    0                18.4         13.9         ...   False
    1                 8.3          5.4         ...   False
    100               7.4          7.4         ...    True
    >>> excess = path.table.excess_rbf
    >>> bool(excess[0] > 0.15 and excess[100] < 0.05)
    True
    >>> path.chosen
    100
    >>> path.per_site.columns.tolist()
    ['Delaware', 'Essen', 'Mayo', 'Utah']
    """
    values = _check_values(values)
    cohort = _check_cohort(X, y, site, groups)
    random = check_random_state(random_state)
    folds = left_out_folds(cohort) + within_folds(cohort, 2, n_repeats, random)
    probe_seeds = random.randint(2**31 - 1, size=len(folds))
    settings = _settings(estimator, parameter, values, int(random.randint(2**31 - 1)))
    seeded = list(zip(folds, probe_seeds, strict=True))
    tasks = [(k, fold, seed) for k in range(len(values)) for fold, seed in seeded]
    parts = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(fit_and_measure)(
            settings[k],
            cohort,
            fold,
            f"{parameter}={values[k]!r}",
            embedding=embedding,
            probe_seed=int(seed),
        )
        for k, fold, seed in tasks
    )
    bar = tqdm(parts, total=len(tasks), desc="Invariance path", disable=not verbose)
    measured = pd.DataFrame(
        [
            {"value": k, "protocol": fold.protocol} | part
            for (k, fold, _), part in zip(tasks, bar, strict=True)
        ]
    )
    table, per_site, chosen = path_tables(measured, values, parameter, cohort.names)
    names = np.array(cohort.names, dtype=object)
    return InvariancePath(
        table=table,
        per_site=per_site,
        chosen=chosen,
        parameter=parameter,
        probed_sites=tuple(names[cohort.probed]),
        unprobed_sites=tuple(names[~cohort.probed]),
    )


def _check_values(values: Any) -> list:
    """Return the values in ascending order, as given, so that whole numbers stay whole."""
    listed = np.asarray(values, dtype=object)
    found = [value.item() if isinstance(value, np.generic) else value for value in listed.ravel()]
    numeric = all(isinstance(value, Real) and not isinstance(value, bool) for value in found)
    if (
        listed.ndim != 1
        or not numeric
        or not np.isfinite(listed.astype(float)).all()
        or len({*found}) < max(len(found), 1)
    ):
        raise ValueError(
            f"values must be a list of finite numbers, each once, to vary the parameter over; got "
            f"{values!r}."
        )
    return sorted(found)


def _check_cohort(X: Any, y: Any, site: Any, groups: Any) -> Bunch:
    """Check rows, ages, sites and persons once, before the first fit."""
    X, y = indexable(X, y)
    n_rows = number_of_rows(X)
    ages = check_numbers(y, "y (the ages)", n_rows)
    site = site_of_rows(X, "site") if site is None else site
    if site is None:
        raise MissingMetadataError(
            "invariance_path needs the site of each row. Pass site=, or let it travel with the "
            "rows, in a column 'site' of the DataFrame X or of X.metadata."
        )
    codes, names = check_labels(site, n_rows, name="site")
    if len(names) < 2:
        raise ValueError(
            f"invariance_path leaves out each site in turn, but all {n_rows} rows come from "
            f"{names[0]!r}. Pass people of at least 2 sites as X, y and site=; with one site there "
            "is nothing to be invariant to."
        )
    persons = np.arange(n_rows)
    if groups is not None:
        persons = check_labels(groups, n_rows, name="groups (the persons)")[0]
    given = {"site": site, "groups": groups}
    return Bunch(
        X=X,
        y=ages,
        codes=codes,
        names=names,
        persons=persons,
        repeated=groups is not None,
        probed=_large_sites(codes, names, persons),
        metadata={name: column for name, column in given.items() if column is not None},
    )


def _large_sites(codes: np.ndarray, names: list[str], persons: np.ndarray) -> np.ndarray:
    """Mark the sites that have enough people to be told apart by a probe."""
    sizes = np.array([len(np.unique(persons[codes == code])) for code in range(len(names))])
    if np.sum(sizes >= FEWEST_PROBED) < 2:
        found = ", ".join(f"{name} ({size})" for name, size in zip(names, sizes, strict=True))
        raise ValueError(
            f"A site is probed if it has {FEWEST_PROBED} people or more, and site predictability "
            f"needs two such sites, but there are {found}. Pool sites of one scanner and protocol, "
            "or choose the value by SiteSearchCV, which needs no probe."
        )
    return sizes >= FEWEST_PROBED


def _settings(estimator: Any, parameter: str, values: list, seed: int) -> list:
    """Return a clone for each value, all with the same seed where the estimator leaves it open."""
    seeded = clone(estimator)
    unset = {
        name: seed
        for name, value in seeded.get_params(deep=True).items()
        if name.rsplit("__", 1)[-1] == "random_state" and value is None
    }
    seeded.set_params(**unset)
    return [clone(seeded).set_params(**{parameter: value}) for value in values]
