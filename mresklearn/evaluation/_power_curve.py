"""power_curve: how many patients a study needs, from people whose gaps are known."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_params
from sklearn.utils.parallel import Parallel, delayed
from tqdm.auto import tqdm

from ..metrics._gap_design import AGE_TERMS, check_order
from ._power_curve_draws import People, areas, chunk_of_studies, compare_studies, draw_studies
from ._power_curve_people import at_hand, check_enough, check_people, check_sizes
from ._power_curve_table import patients_needed, tabulate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["PowerCurve", "power_curve"]

FEWEST = 2  # people of a group, the least for a variance
SEEDS = np.iinfo(np.int32).max


@dataclass(frozen=True, eq=False)
class PowerCurve:
    """Power by number of patients; :func:`power_curve` makes it.

    Attributes
    ----------
    table : DataFrame
        One row a ``group`` and ``n_patients``, with the columns

        n_controls : int
            Controls of a study.
        power, power_low, power_high : float
            Share of studies in which :func:`~mresklearn.metrics.compare_gaps` finds a difference,
            and its Monte Carlo interval (Wilson).
        level, level_low, level_high : float
            The same where patients do not differ: the share of false alarms, `alpha` if all is
            well.
        power_weakest, power_strongest : float
            Power if the true difference is the weakest, or the strongest, that the people at hand
            leave possible (ends of their interval; none, where it holds 0). How little a pilot
            tells is seen here, not in the Monte Carlo interval.
        difference, width : float
            Mean difference of the studies, and mean width of its interval, in years.
        auc, auc_width : float
            Mean area under the curve of the gap, age, sex and site held fixed, and mean width of
            its interval.
        auc_power, auc_power_low, auc_power_high, auc_level, auc_level_low, auc_level_high : float
            As above, for studies in which the interval of the area leaves 0.5 out.
        unanswered : float
            Share of studies that could not be compared, such as all patients of one sex and all
            controls, or all but one, of the other. They count as finding nothing.
    needed : DataFrame
        Number of patients that reaches the power asked for, by ``group`` and ``test`` (difference
        or auc): ``n``, and ``low`` and ``high`` where the Monte Carlo interval does. Infinite where
        no size that was tried reaches it; where the smallest does, that one.
    by_unit : DataFrame
        Power, level and auc by ``group``, ``n_patients`` and ``unit``: the site, with `one_site`;
        else one unit, of all people at hand.
    at_hand : DataFrame
        Of the people at hand by ``group`` and ``unit``: ``n_patients``, ``n_controls`` and their
        ``difference``, ``standard_error`` and ``hedges_g``.
    target, alpha : float
        Power asked for, and level of the tests.
    """

    table: pd.DataFrame = field(repr=False)
    needed: pd.DataFrame
    by_unit: pd.DataFrame = field(repr=False)
    at_hand: pd.DataFrame = field(repr=False)
    target: float
    alpha: float

    def plot(self, ax: Axes | None = None) -> Figure:
        """Draw power over the number of patients, and the share of false alarms beneath.

        Bars are Monte Carlo intervals, and the pale band lies between the weakest and the strongest
        difference that the people at hand leave possible.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure of 6 by 4 inches.

        Returns
        -------
        figure : matplotlib Figure
            The figure that holds the axes.
        """
        from ._power_curve_plot import draw_power  # matplotlib only where it is drawn

        return draw_power(self, ax)


@validate_params(
    {
        "reference": [str],
        "one_site": ["boolean"],
        "sizes": ["array-like"],
        "n_controls": [Interval(Integral, FEWEST, None, closed="left"), "array-like", None],
        "difference": [Real, None],
        "replacement": ["boolean"],
        "target": [Interval(Real, 0, 1, closed="neither")],
        "alpha": [Interval(Real, 0, 1, closed="neither")],
        "age_terms": [StrOptions(set(AGE_TERMS))],
        "n_studies": [Interval(Integral, 1, None, closed="left")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def power_curve(
    gap: ArrayLike,
    diagnosis: ArrayLike,
    *,
    age: ArrayLike,
    sex: ArrayLike | None = None,
    site: ArrayLike | None = None,
    one_site: bool = False,
    reference: str = "CN",
    sizes: ArrayLike = (10, 20, 30, 40, 60, 80),
    n_controls: int | ArrayLike | None = None,
    difference: float | None = None,
    replacement: bool = True,
    target: float = 0.8,
    alpha: float = 0.05,
    age_terms: str = "quadratic",
    n_studies: int = 1000,
    n_jobs: int | None = None,
    random_state: int | np.random.RandomState | None = 0,
    verbose: int = 0,
) -> PowerCurve:
    r"""Plan a study: how often n patients and their controls show a difference that is there.

    Draws studies of n patients from people whose gaps are known, of a pilot or of simulated
    cohorts, and compares each as :func:`~mresklearn.metrics.compare_gaps` would. This takes the
    spread, the tails, and the ages that patients and controls have, as they are.

    Parameters
    ----------
    gap : array-like of shape (n_people,)
        Brain-age gap in years, or another score, of predictions by models that saw none of these
        people. One row a person.
    diagnosis : array-like of shape (n_people,)
        Group of each person. Every group but the reference has a curve of its own.
    age : array-like of shape (n_people,)
        Chronological age in years.
    sex, site : array-like of shape (n_people,), default=None
        Labels that the comparison holds fixed. None: not held fixed.
    one_site : bool, default=False
        Whether a study has people of one site, each site in turn, so that site need not be held
        fixed. For gaps of :func:`leave_study_out`, or of several simulated cohorts (give the cohort
        as site), whose models differ. Sites without two patients and two controls are passed over.
        False draws from all sites together.
    reference : str, default="CN"
        The diagnosis of controls.
    sizes : array-like of int, default=(10, 20, 30, 40, 60, 80)
        Numbers of patients to try.
    n_controls : int, array-like of int or None, default=None
        Controls of a study: the same number for all sizes, or one for each. None: as many as
        patients.
    difference : float or None, default=None
        True difference in years to plan for, such as the smallest that would matter. All patients
        are shifted to it. None: that of the people at hand.
    replacement : bool, default=True
        Whether a study may hold a person twice, see Notes.
    target : float, default=0.8
        Power to reach.
    alpha : float, default=0.05
        Level of the tests, two-sided; intervals cover 1 - alpha.
    age_terms : {"linear", "quadratic", "spline"}, default="quadratic"
        How the gap may depend on age in the comparison.
    n_studies : int, default=1000
        Studies drawn for each group and size.
    n_jobs : int or None, default=None
        Computed at the same time, as in joblib. The result does not depend on it.
    random_state : int, RandomState instance or None, default=0
        Seed of the draws.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    curve : PowerCurve
        With ``table``, ``needed``, ``by_unit``, ``at_hand`` and ``plot()``.

    Raises
    ------
    ValueError
        If the people at hand cannot be compared (see :func:`~mresklearn.metrics.compare_gaps`),
        `sizes` are not distinct whole numbers of at least 2, `n_controls` does not go with them,
        `one_site` has no site, or, without replacement, a study has more people than are at hand.

    Warns
    -----
    UnanswerableWarning
        If a study has more patients or controls than there are at hand; and as
        :func:`~mresklearn.metrics.compare_gaps`, for the people at hand.

    See Also
    --------
    mresklearn.metrics.compare_gaps : The comparison.
    leave_study_out : Gaps of people in a study that the model has not seen.

    Notes
    -----
    **What is known of a small pilot.** The people at hand stand in for everybody, with the
    difference that they happen to show. A pilot that was worth following up shows too large a one
    more often than not, and power computed from it is too high [1]_ [2]_. Their spread about the
    covariates is that of a fit to them, and so a little small. The Monte Carlo interval knows
    nothing of this: it tells how many studies were drawn. Look at ``power_weakest``, or plan
    for a `difference` that would matter. Power at the difference that a finished study found says
    nothing that its p value does not [3]_.

    **Replacement.** With it, people are drawn as from a population that looks like those at hand,
    of any size; where n exceeds them, no new kind of person comes in. Without it, a study of n is
    as good as new people, so that over many cohorts the mean power is unbiased, where replacement
    adds the chance differences of cohorts; but studies from *one* cohort grow alike as n nears the
    people at hand, and power nears 0 or 1. So use ``replacement=False`` for many simulated cohorts
    and ``one_site=True``, with about three times as many people a cohort as in a study, and judge
    the Monte Carlo error by the spread of ``by_unit`` over cohorts. In 150 cohorts of 60 patients
    and 60 controls, studies of 40 of each had power 0.89 without and 0.84 with replacement, and
    0.90 with new people. The level is always of draws with replacement, as is a `difference` that
    is given.

    **No effect.** Patients are shifted by the difference at hand (of the same site, with
    `one_site`), which leaves their spread. With a shift of all patients the estimate shifts too and
    its standard error stays, so all differences are judged on the same draws.

    **Enough.** Power is made to rise with n by isotonic regression, and read off between sizes on a
    scale where it is nearly straight, the normal quantile over the square root of n.

    The models that give the gaps stay as they are: with n patients, nothing is trained on them. A
    classifier that has yet to be trained on the n patients needs a simulation of its training.

    References
    ----------
    .. [1] Kraemer, H. C., Mintz, J., Noda, A., Tinklenberg, J., Yesavage, J. A. (2006). Caution
       regarding the use of pilot studies to guide power calculations for study proposals. Archives
       of General Psychiatry 63, 484-489.
    .. [2] Albers, C., Lakens, D. (2018). When power analyses based on pilot data are biased:
       inaccurate effect size estimators and follow-up bias. Journal of Experimental Social
       Psychology 74, 187-195.
    .. [3] Hoenig, J. M., Heisey, D. M. (2001). The abuse of power: the pervasive fallacy of power
       calculations for data analysis. The American Statistician 55, 19-24.

    Examples
    --------
    >>> import numpy as np
    >>> from mresklearn.evaluation import power_curve
    >>> rng = np.random.default_rng(0)
    >>> diagnosis = np.repeat(["CN", "AD"], [150, 100])
    >>> age = rng.normal(72, 7, 250)
    >>> gap = 5 * (diagnosis == "AD") + rng.normal(0, 6, 250)
    >>> curve = power_curve(gap, diagnosis, age=age, sizes=(10, 20, 40), n_studies=400)
    >>> curve.table[["n_controls", "power", "level", "auc"]].round(1)
                      n_controls  power  level  auc
    group n_patients
    AD    10                  10    0.4    ...  0.7
          20                  20    0.7    ...  0.7
          40                  40    1.0    ...  0.7
    >>> bool(20 < curve.needed.loc[("AD", "difference"), "n"] <= 30)
    True
    """
    check_order(gap=gap, diagnosis=diagnosis, age=age, sex=sex, site=site)
    patients, controls = check_sizes(sizes, n_controls)
    cohort = check_people(gap, diagnosis, age, sex, site, one_site, reference, age_terms)
    hands = []
    for group in cohort.groups:  # no comprehension: its frame would hide the caller from warnings
        hands.append(at_hand(cohort, group, alpha))
    check_enough(hands, patients, controls, replacement)
    random = check_random_state(random_state)
    draws = _planned(hands, patients, controls, replacement, difference, n_studies, random)
    parts = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_judge)(cohort.people, hands[k], chunk, difference, alpha) for k, _, chunk in draws
    )
    bar = tqdm(parts, total=len(draws), desc="Drawn studies", disable=not verbose)
    frames = [
        part.assign(group=hands[k].group, n_patients=size[0], n_controls=size[1])
        for (k, size, _), part in zip(draws, bar, strict=True)
    ]
    studies = pd.concat(frames, ignore_index=True)
    table = tabulate(studies)
    by_unit = studies.groupby(["group", "n_patients", "unit"], sort=False)
    return PowerCurve(
        table=table,
        needed=patients_needed(table, target),
        by_unit=by_unit[["power", "level", "auc_power", "auc_level", "difference", "auc"]].mean(),
        at_hand=pd.concat([hand.table for hand in hands]),
        target=float(target),
        alpha=float(alpha),
    )


def _planned(
    hands: list[Bunch],
    patients: list[int],
    controls: list[int],
    replacement: bool,
    difference: float | None,
    n_studies: int,
    random: np.random.RandomState,
) -> list[tuple[int, tuple[int, int], Bunch]]:
    """List the chunks of studies to draw, each with a seed, so that workers do not matter."""
    draws = []
    for k, hand in enumerate(hands):
        for size in zip(patients, controls, strict=True):
            step = chunk_of_studies(*size)
            for start in range(0, n_studies, step):
                numbers = np.arange(start, min(start + step, n_studies))
                chunk = Bunch(
                    units=numbers % len(hand.pools),
                    n_patients=size[0],
                    n_controls=size[1],
                    replacement=replacement or difference is not None,
                    seed=int(random.randint(SEEDS)),
                )
                draws.append((k, size, chunk))
    return draws


def _judge(
    people: People, hand: Bunch, chunk: Bunch, difference: float | None, alpha: float
) -> pd.DataFrame:
    """Draw and compare the studies of a chunk; one row a study."""
    drawn = _compare(people, hand, chunk, chunk.replacement)
    # a level needs people among whom there is no difference, and draws that keep their spread
    null = drawn if chunk.replacement else _compare(people, hand, chunk, True)
    own = hand.difference[chunk.units]
    shift = np.zeros(len(own)) if difference is None else difference - own
    mean = hand.difference.mean()
    auc, low, high = areas(drawn, chunk.n_patients, shift, 1 - alpha)
    _, null_low, null_high = areas(null, chunk.n_patients, -own, 1 - alpha)
    width = 2 * stats.t.ppf(1 - alpha / 2, drawn["df"]) * drawn["standard_error"]
    return pd.DataFrame(
        {
            "unit": np.array(hand.names, dtype=object)[chunk.units],
            "power": _found(drawn, shift, alpha),
            "level": _found(null, -own, alpha),
            "power_weakest": _found(drawn, hand.weakest - mean, alpha),
            "power_strongest": _found(drawn, hand.strongest - mean, alpha),
            "difference": drawn["difference"] + shift,
            "width": width,
            "auc": auc,
            "auc_width": high - low,
            "auc_power": (low > 0.5) | (high < 0.5),
            "auc_level": (null_low > 0.5) | (null_high < 0.5),
            "unanswered": np.isnan(drawn["difference"]),
        }
    )


def _compare(people: People, hand: Bunch, chunk: Bunch, replacement: bool) -> dict[str, np.ndarray]:
    """Draw the studies of a chunk and estimate their differences."""
    seed = chunk.seed + (replacement != chunk.replacement)
    size = chunk.n_patients, chunk.n_controls
    rows = draw_studies(hand.pools, chunk.units, *size, replacement, seed)
    return compare_studies(people, rows, chunk.n_patients)


def _found(compared: dict[str, np.ndarray], shift: Any, alpha: float) -> np.ndarray:
    """Whether each study finds a difference, with patients shifted; NaN finds nothing."""
    size = np.abs(compared["difference"] + shift) / compared["standard_error"]
    return 2 * stats.t.sf(size, compared["df"]) < alpha
