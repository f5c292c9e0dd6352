"""conversion_model: who converts sooner, by Cox's model, and how well that can be foreseen."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions, validate_params

from ..exceptions import UnanswerableWarning
from ._columns import check_columns, design_columns
from ._concordance import comparable_pairs
from ._cox_data import prepare, refuse_repeats, refuse_unbounded
from ._optimism import concordance_table
from ._partial_likelihood import CoxFit, PartialLikelihood
from ._profile_interval import profile
from ._proportional_hazards import proportional_hazards

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ConversionModel", "conversion_model"]

ENOUGH = 5  # events a coefficient, below which Vittinghoff and McCulloch found trouble often
CALLER = 4  # stack level: two functions and the check of parameters lie before the caller


@dataclass(frozen=True, eq=False)
class ConversionModel:
    """A Cox model of conversion; :func:`conversion_model` makes it.

    Attributes
    ----------
    table : DataFrame
        One coefficient a row, features first, with the columns

        hazard_ratio, low, high : float
            Hazard ratio of one unit more, the others held fixed, and its interval.
        sd : float
            Standard deviation over people; NaN for labels.
        hazard_ratio_sd, low_sd, high_sd : float
            The same for one standard deviation more; NaN for labels.
        coefficient, standard_error : float
            Logarithm of `hazard_ratio`, and Wald's standard error of it.
        chi2, p_value : float
            Likelihood-ratio statistic of the coefficient, with one degree of freedom, and its p.
    concordance : DataFrame
        Rows ``"features"`` (the whole model) and, if there are covariates, ``"covariates only"``
        and ``"difference"``, with the columns

        apparent : float
            Harrell's C of the people that the model was fitted to, within strata: too good.
        optimism : float
            How much too good.
        corrected, low, high : float
            What to expect for new people of these sites, and its interval.
    proportional_hazards : DataFrame
        By coefficient and for ``"all"``: the correlation of scaled Schoenfeld residuals with the
        share converted, and the score test (``chi2``, ``df``, ``p_value``) of a hazard ratio that
        moves with it. A small p says that one number does not describe the whole time.
    added : Series
        What the features add to covariates and strata, by likelihood ratio: ``chi2``, ``df``,
        ``p_value``. The test to report; the interval of a difference of concordances is none.
    n_people, n_events, n_pairs : int
        People, conversions, and pairs of people who can be compared.
    """

    table: pd.DataFrame = field(repr=False)
    concordance: pd.DataFrame = field(repr=False)
    proportional_hazards: pd.DataFrame = field(repr=False)
    added: pd.Series = field(repr=False)
    n_people: int
    n_events: int
    n_pairs: int

    def plot(self, ax: Axes | None = None) -> Figure:
        """Draw hazard ratios with their intervals, of a standard deviation (of labels: of those).

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        figure : matplotlib Figure
            The figure that holds the axes.
        """
        from ._conversion_model_plot import draw_ratios  # matplotlib only where it is drawn

        return draw_ratios(self, ax)


@validate_params(
    {
        "features": ["array-like"],
        "covariates": ["array-like"],
        "duration": [str],
        "event": [str],
        "strata": [str, None],
        "ties": [StrOptions({"efron", "breslow"})],
        "confidence": [Interval(Real, 0, 1, closed="neither")],
        "n_resamples": [Interval(Integral, 100, None, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def conversion_model(
    table: pd.DataFrame,
    *,
    features: Sequence[str],
    covariates: Sequence[str] = (),
    duration: str = "duration",
    event: str = "event",
    strata: str | None = None,
    ties: str = "efron",
    confidence: float = 0.95,
    n_resamples: int = 1000,
    random_state: int | np.random.RandomState | None = 0,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> ConversionModel:
    r"""Model time to conversion by features such as the brain-age gap, and judge the foresight.

    Hazard ratios say whether a feature goes with conversion, age, sex and site held fixed; the
    concordance says how well it orders new people, and the difference, what age and sex did not
    tell already.

    Parameters
    ----------
    table : DataFrame of shape (n_people, ...)
        One person a row, such as ``time_to_conversion(...).table``.
    features : list of str
        Columns in question, as they were when time started: numbers, or labels (text), of which
        each but the first gets a coefficient.
    covariates : list of str, default=()
        Columns that are held fixed and that the features have to add to, such as age and sex.
    duration, event : str, default="duration" and "event"
        Columns of the time to conversion or last visit, above 0, and of whether it converted.
    strata : str or None, default=None
        Column of the site: each has its own risk over time, and pairs are compared within sites.
    ties : {"efron", "breslow"}, default="efron"
        How conversions at the same time are treated; Breslow's is biased where there are many.
    confidence : float, default=0.95
        Coverage of each interval.
    n_resamples : int, default=1000
        Bootstrap samples of people for the concordance, at least 100.
    random_state : int, RandomState instance or None, default=0
        Seed of the samples.
    n_jobs : int or None, default=None
        Samples computed at the same time, as in joblib.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    model : ConversionModel
        With ``table``, ``concordance``, ``proportional_hazards``, ``added`` and ``plot()``.

    Raises
    ------
    ValueError
        If a column is missing or given twice, a value is missing, a time is not above 0, nobody
        converted, a column does not vary or follows from the others (within strata), or a hazard
        ratio has no finite estimate because a column tells all converters apart.

    Warns
    -----
    UnanswerableWarning
        If there are fewer than 5 conversions for each coefficient: hazard ratios are then off and
        intervals cover too rarely [1]_.

    See Also
    --------
    time_to_conversion : The table, from visits.
    concordance : Of risks that come from elsewhere.

    Notes
    -----
    Cox's partial likelihood [2]_, with a risk set for each stratum and Efron's ties. Intervals and
    p come from the likelihood (profile and ratio), which suit few events better than Wald's.

    The bootstrap draws people, fits both models again and subtracts the optimism [3]_. Its
    interval is the spread of refitted concordances around the corrected value, paired for the
    difference, with levels widened for few people as in
    :func:`~mresklearn.metrics.bootstrap_ci`. It speaks of these sites, and with about 20
    conversions it is too short for the whole model where nothing foretells conversion: read its
    ends as rough. Features chosen by looking
    at the conversions, also in an earlier step, are not corrected for.

    Proportional hazards are tested by the score of a coefficient that moves with the share
    converted [4]_; with few events, a large p says little.

    References
    ----------
    .. [1] Vittinghoff, E., McCulloch, C. E. (2007). Relaxing the rule of ten events per variable in
       logistic and Cox regression. American Journal of Epidemiology 165, 710-718.
    .. [2] Cox, D. R. (1972). Regression models and life-tables. JRSS B 34, 187-220.
    .. [3] Harrell, F. E., Lee, K. L., Mark, D. B. (1996). Multivariable prognostic models.
       Statistics in Medicine 15, 361-387.
    .. [4] Grambsch, P. M., Therneau, T. M. (1994). Proportional hazards tests and diagnostics based
       on weighted residuals. Biometrika 81, 515-526.

    Examples
    --------
    People whose gap is a standard deviation (4 years) larger convert twice as often at any time:

    >>> import numpy as np
    >>> import pandas as pd
    >>> from mresklearn.progression import conversion_model
    >>> rng = np.random.default_rng(0)
    >>> people = pd.DataFrame({"gap": rng.normal(0, 4, 150), "age": rng.normal(75, 6, 150)})
    >>> wait = rng.exponential(8 / 2 ** (people.gap / 4))
    >>> people["duration"], people["event"] = wait.clip(max=5), wait < 5
    >>> model = conversion_model(people, features=["gap"], covariates=["age"], n_resamples=100)
    >>> model.table.loc["gap", ["hazard_ratio_sd", "low_sd", "high_sd"]].round(1)
    hazard_ratio_sd    1.9
    low_sd             1.5
    high_sd            2.5
    Name: gap, dtype: float64
    >>> bool(model.concordance.corrected["difference"] > 0.05)
    True
    """
    names = [*features, *covariates]
    columns = [*names, duration, event] + ([strata] if strata is not None else [])
    check_columns(table, columns, "table")
    refuse_repeats(features, columns)
    design = design_columns(table, names)
    n_features = design_columns(table, list(features)).shape[1]
    data, spread = prepare(table, design, duration, event, strata, ties)
    likelihood = data.likelihood()
    fit = likelihood.maximise()
    refuse_unbounded(fit, design)
    _warn_few_events(int(data.event.sum()), design.shape[1])
    base = np.arange(n_features, design.shape[1])
    models = {"features": np.arange(design.shape[1])}
    if len(base):
        models["covariates only"] = base
    concordances, _ = concordance_table(
        data,
        models,
        confidence=confidence,
        n_resamples=n_resamples,
        random=check_random_state(random_state),
        n_jobs=n_jobs,
        verbose=verbose,
    )
    hazards = proportional_hazards(
        likelihood, fit, data.duration, data.event, design.columns.tolist()
    )
    return ConversionModel(
        table=_ratios(likelihood, fit, design, spread, confidence),
        concordance=concordances,
        proportional_hazards=hazards,
        added=_added(likelihood, fit, n_features),
        n_people=len(table),
        n_events=int(data.event.sum()),
        n_pairs=int(comparable_pairs(data.duration, data.event, data.stratum).sum()),
    )


def _warn_few_events(n_events: int, n_columns: int) -> None:
    """Say that the design is too small, whatever its numbers look like."""
    if n_events < ENOUGH * n_columns:
        warnings.warn(
            f"{n_events} conversions for {n_columns} coefficients are fewer than {ENOUGH} each: "
            "hazard ratios are off by more than their intervals say. Model fewer columns, or say "
            "so beside the result.",
            UnanswerableWarning,
            stacklevel=CALLER,
        )


def _ratios(
    likelihood: PartialLikelihood,
    fit: CoxFit,
    design: pd.DataFrame,
    spread: np.ndarray,
    confidence: float,
) -> pd.DataFrame:
    """Hazard ratios by unit and by standard deviation, from coefficients by the latter."""
    rows = {}
    for position, name in enumerate(design):
        found = profile(likelihood, fit, position, confidence)
        scale = spread[position]
        ends = np.array([found["coefficient"], found["low"], found["high"]])
        with np.errstate(over="ignore"):  # an interval without end is infinite by unit as well
            unit, by_sd = np.exp(ends / scale), np.exp(ends)
        number = set(np.unique(design[name])) != {0.0, 1.0}
        rows[name] = {
            **dict(zip(("hazard_ratio", "low", "high"), unit, strict=True)),
            "sd": scale if number else np.nan,
            **dict(
                zip(
                    ("hazard_ratio_sd", "low_sd", "high_sd"),
                    by_sd if number else np.full(3, np.nan),
                    strict=True,
                )
            ),
            "coefficient": ends[0] / scale,
            "standard_error": found["standard_error"] / scale,
            "chi2": found["chi2"],
            "p_value": found["p_value"],
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("column")


def _added(likelihood: PartialLikelihood, fit: CoxFit, n_features: int) -> pd.Series:
    """Likelihood ratio of the model against the one without the features."""
    without = likelihood.without(np.arange(n_features)).maximise()
    chi2 = max(2 * (fit.value - without.value), 0.0)
    return pd.Series(
        {"chi2": chi2, "df": n_features, "p_value": float(stats.chi2.sf(chi2, n_features))},
        name="added",
    )
