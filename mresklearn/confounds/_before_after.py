"""harmonization_report: what harmonising removed, and what it took along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, validate_params
from tqdm import tqdm

from ._before_after_text import write_comparison
from ._effect import Effect
from ._feature_table import FeatureTable, as_feature_table
from ._held_out_harmonization import harmonise_others
from ._report import ConfoundReport
from ._site_predictability import deal_folds
from ._target_signal import (
    People,
    explained_by_target,
    predict_target,
    score_predictions,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["HarmonizationReport", "harmonization_report"]

SHARES = (
    "rda_partial_r2", "partial_r2_median", "partial_r2_p95", "dispersion_epsilon_squared",
)  # fmt: skip
ACCURACIES = ("balanced_accuracy_linear", "balanced_accuracy_rbf")
EXCESSES = ("excess_linear", "excess_rbf")
FEWEST_FOLDS = 2


@dataclass(frozen=True, eq=False)
class HarmonizationReport:
    """Features before and after harmonising, side by side; :func:`harmonization_report` makes it.

    Attributes
    ----------
    table_ : DataFrame
        One measure of one table of features a row, with the columns question (``"site"`` or the
        name of the target), measure, table, n, value, reference, ci_low, ci_high, p, change,
        change_low, change_high, status and reason. ``reference`` is the value without any site
        effect, ``change`` the difference to the first table.
    reports_ : dict of str to ConfoundReport
        Full report of each table.
    names_ : list of str
        Tables, in the order given.
    held_out : bool
        Whether the people that are measured took no part in fitting the harmonisers, for sure.
    """

    table_: pd.DataFrame
    reports_: dict[str, ConfoundReport]
    names_: list[str]
    held_out: bool = False

    def to_frame(self) -> pd.DataFrame:
        """Return the values side by side: a row a measure, a column a table of features.

        Returns
        -------
        frame : DataFrame
            Indexed by question and measure; the first column is the value without a site effect.
            Intervals and p are in `table_`.
        """
        keys = ["question", "measure"]
        order = self.table_[keys].drop_duplicates()
        wide = self.table_.pivot(index=keys, columns="table", values="value")
        wide = wide.reindex(pd.MultiIndex.from_frame(order))[self.names_]
        first = self.table_[self.table_.table == self.names_[0]].set_index(keys).reference
        wide.insert(0, "without site effect", first.reindex(wide.index))
        return wide.rename_axis(columns=None)

    def summary(self) -> str:
        """Return in prose what went, what stayed, and whether too much went.

        Returns
        -------
        text : str
            Paragraphs, separated by blank lines.
        """
        return write_comparison(self)

    def plot(self) -> Figure:
        """Draw what site explains, how well it can be read, and the signal of the target.

        Returns
        -------
        figure : matplotlib Figure
            About 11 by 3.6 inches.
        """
        from ._before_after_plot import draw_comparison  # matplotlib only where it is drawn

        return draw_comparison(self)


@validate_params(
    {
        "participants": [pd.DataFrame],
        "tables": [Mapping],
        "roles": [dict, None],
        "target": [str],
        "site_column": [str],
        "kinds": [dict, None],
        "covariates": [list, tuple, None],
        "n_permutations": [Interval(Integral, 19, None, closed="left")],
        "confidence": [Interval(Real, 0, 1, closed="neither")],
        "n_folds": [Interval(Integral, 2, None, closed="left")],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def harmonization_report(
    participants: pd.DataFrame,
    tables: Mapping[str, Any],
    *,
    roles: dict[str, str] | None = None,
    target: str = "age",
    site_column: str = "site",
    kinds: dict[str, str] | None = None,
    covariates: Sequence[str] | None = None,
    n_permutations: int = 999,
    confidence: float = 0.95,
    n_folds: int = 5,
    random_state: Any = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> HarmonizationReport:
    r"""Compare features before and after harmonising: site effects that went, signal that stayed.

    Each table of features is measured with the same permutations, folds and people drawn anew.

    Parameters
    ----------
    participants : DataFrame of n rows
        One row a person, with target, site and further metadata.
    tables : dict of str to MapArray, array-like or estimator
        By name, first the features that the others are compared with: maps, features or embeddings,
        rows as in `participants`. Then harmonisers, such as
        ``{"raw": X, "ComBat": ComBat(), "CovBat": CovBat()}``: each is fitted to the first table
        on half of the people of every site, and all is measured on the other half, as a new person
        would be. Scans of one person, told by a column of the role ``"id"``, stay in one half. Or
        further tables that were harmonised already; see Notes.
    roles, target, site_column, kinds, covariates, n_permutations, confidence : various
        As in :class:`ConfoundReport`.
    n_folds : int, default=5
        Folds in which the target is predicted, each with the same share of every site.
    random_state : int, RandomState instance or None, default=None
        Seed of everything that is drawn.
    n_jobs : int or None, default=None
        As in :class:`ConfoundReport`.
    verbose : int, default=0
        1 shows a progress bar over the tables, 2 one for each report as well.

    Returns
    -------
    report : HarmonizationReport
        With ``to_frame()``, ``summary()`` and ``plot()``.

    Raises
    ------
    ValueError
        If there is no table, rows do not fit the participants, or fewer than two sites have people
        in every fold.

    See Also
    --------
    ConfoundReport : One table of features in full.

    Notes
    -----
    **Site.** Share of the variance that site explains at equal target and covariates, corrected for
    chance: of all features (``rda_partial_r2``), of the median and of the 95th percentile feature;
    how far sites differ in spread (``dispersion_epsilon_squared``); balanced accuracy of a linear
    and a Gaussian probe, to be read against what the target alone says of the site; and their
    excess over it.

    **Target.** ``partial_r2``: share of the variance of all features that the target explains
    beyond site and covariates. ``r2``, ``mae``: ridge regression on the features, out of fold.
    ``r2_within_sites``: after centring target and prediction at each site, so that a prediction
    gains nothing from knowing the site. Their intervals, and those of the change against the first
    table, come from 2000 draws of people within sites.

    **Harmonised already.** A harmoniser that was fitted on the very people that are measured makes
    the means of all sites agree exactly over all of them, so that what a probe learns from one part
    of a site is the reverse in the other: it falls below what the target alone gives, or below
    guessing. It is so out of fold as well, where the folds of harmoniser and probe differ. And one
    that held their target fixed carries it into the features, which then seem to predict it better.
    As a description that does no harm; where a model is tested, both are leaks. Hand over
    harmonisers rather than tables to learn what new people get.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from mresklearn.confounds import harmonization_report
    >>> from mresklearn.harmonization import ComBat
    >>> rng = np.random.default_rng(0)
    >>> site = np.repeat(["Delaware", "Mayo", "Utah"], 40)
    >>> people = pd.DataFrame({"site": site, "age": rng.uniform(20, 80, 120)})
    >>> X = np.outer(people.age / 20, rng.normal(size=15)) + rng.normal(size=(120, 15))
    >>> X[site == "Utah"] += rng.normal(size=15)
    >>> tables = {"raw": X, "ComBat": ComBat()}
    >>> report = harmonization_report(people, tables, n_permutations=99, random_state=0)
    >>> frame = report.to_frame().round(1)
    >>> frame.loc[("site", "rda_partial_r2"), ["raw", "ComBat"]].tolist()
    [0.2, 0.0]
    >>> frame.loc[("age", "r2_within_sites"), ["raw", "ComBat"]].tolist()
    [0.8, 0.8]
    """
    names = [str(name) for name in tables]
    if not tables or hasattr(next(iter(tables.values())), "fit"):
        raise ValueError(
            "tables must start with features, such as {'raw': X, 'ComBat': ComBat()}, got "
            f"{names or 'nothing'}."
        )
    if len(set(names)) < len(names):
        raise ValueError(f"tables has names that are equal as text: {names}.")
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    held_out = any(hasattr(values, "fit") for values in tables.values())
    if held_out:
        participants, tables = harmonise_others(
            participants, tables, site_column=site_column, target=target, seed=seed,
            id_column=_id_column(participants, roles),
        )  # fmt: skip
    settings = {"n_permutations": n_permutations, "confidence": confidence}
    features = {
        str(name): as_feature_table(values, participants, str(name))
        for name, values in tables.items()
    }
    reports, people, rows = {}, None, []
    for name, values in tqdm(tables.items(), desc="tables", disable=not verbose):
        report = ConfoundReport(
            roles=roles, target=target, site_column=site_column, kinds=kinds,
            covariates=covariates, random_state=seed, n_jobs=n_jobs,
            verbose=max(0, int(verbose) - 1), **settings,
        ).fit(participants, values)  # fmt: skip
        reports[str(name)] = report
        people = people or _people(report, features, n_folds)
        rows += _site_rows(report, str(name))
        rows += _target_rows(report, features[str(name)], people, str(name), seed, settings)
    table = _with_changes(rows, names, confidence)
    return HarmonizationReport(table, reports, names, held_out=held_out)


def _id_column(participants: pd.DataFrame, roles: dict[str, str] | None) -> Any:
    """Return the first column with the role of an id, if any."""
    roles = roles or {}
    return next((name for name in participants.columns if roles.get(name) == "id"), None)


def _people(report: ConfoundReport, features: dict[str, FeatureTable], n_folds: int) -> People:
    """Return who all tables have, at sites that can be in every fold."""
    target, site = report.variables_[report.target], report.variables_[report.site_column]
    others = tuple(report.variables_[name] for name in report.covariates_)
    kept = np.ones(len(target.values), dtype=bool)
    for variable in (target, site, *others):
        kept &= variable.present
    for table in features.values():
        kept &= np.isin(np.arange(len(kept)), table.rows)
    rows = np.flatnonzero(kept)
    counts = np.bincount(site.values[rows].astype(int), minlength=1)
    rows = rows[counts[site.values[rows].astype(int)] >= FEWEST_FOLDS]
    codes = np.unique(site.values[rows], return_inverse=True)[1]
    if codes.max(initial=0) < 1:
        raise ValueError(
            f"Fewer than two sites have {FEWEST_FOLDS} people with '{report.target}' and features "
            "in every table, so that there is nothing to compare between sites."
        )
    folds = deal_folds(n_folds, codes, _persons(report, rows), 0)
    return People(rows, codes, target, others, folds)


def _persons(report: ConfoundReport, rows: np.ndarray) -> np.ndarray:
    """Return a code for each person, so that scans of one person share a fold."""
    ids = [variable for variable in report.variables_.values() if variable.role == "id"]
    if not ids:
        return np.arange(len(rows))
    codes = np.where(ids[0].present, ids[0].values, -1 - np.arange(len(ids[0].values)))[rows]
    return np.unique(codes, return_inverse=True)[1]


def _site_rows(report: ConfoundReport, name: str) -> list[dict]:
    """Return what the report says of site in the features."""
    found = report.table_
    found = found[(found.variable == report.site_column) & (found.against == "features")]
    rows = []
    for measure in (*SHARES, *ACCURACIES, *EXCESSES):
        row = found[found.measure == measure]
        if row.empty:
            continue
        row = row.iloc[0]
        floor = row.null_mean if measure in ACCURACIES else 0.0
        rows.append(
            {
                "question": report.site_column,
                "measure": measure,
                "table": name,
                "n": row.n,
                "value": row.value if measure in ACCURACIES else row.value_adj,
                "reference": floor,
                "ci_low": row.ci_low + floor,
                "ci_high": row.ci_high + floor,
                "p": row.p,
                "status": row.status,
                "reason": row.reason,
            }
        )
    return rows


def _target_rows(
    report: ConfoundReport,
    table: FeatureTable,
    people: People,
    name: str,
    seed: int,
    settings: dict[str, Any],
) -> list[dict]:
    """Return what the features say of the target."""
    common = {"question": report.target, "table": name, "n": len(people.rows), "reference": np.nan}
    features = table.values[np.searchsorted(table.rows, people.rows)]
    random_state = np.random.default_rng([seed, 1])
    effect = explained_by_target(features, people, random_state=random_state, **settings)
    rows = [common | {"measure": "partial_r2"} | _of_effect(effect)]
    scores = score_predictions(predict_target(features, people), people, seed)
    tail = (1 - settings["confidence"]) / 2
    for place, measure in enumerate(("r2", "r2_within_sites", "mae")):
        drawn = scores.redrawn[(1, 2, 0)[place]]
        low, high = np.nanquantile(drawn, (tail, 1 - tail))
        rows.append(
            common
            | {
                "measure": measure,
                "value": getattr(scores, measure),
                "ci_low": low,
                "ci_high": high,
                "p": np.nan,
                "status": "ok",
                "reason": "",
                "redrawn": drawn,
            }
        )
    return rows


def _of_effect(effect: Effect) -> dict[str, Any]:
    return {
        "value": effect.value_adj,
        "ci_low": effect.interval[0],
        "ci_high": effect.interval[1],
        "p": effect.p,
        "status": effect.status,
        "reason": effect.reason,
    }


def _with_changes(rows: list[dict], names: list[str], confidence: float) -> pd.DataFrame:
    """Add the difference to the first table, with an interval where people were drawn anew."""
    first = {row["measure"]: row for row in rows if row["table"] == names[0]}
    tail = (1 - confidence) / 2
    for row in rows:
        base = first.get(row["measure"])
        row |= {"change": np.nan, "change_low": np.nan, "change_high": np.nan}
        if base is None or row is base:
            continue
        row["change"] = row["value"] - base["value"]
        if "redrawn" in row:
            differences = row["redrawn"] - base["redrawn"]
            row["change_low"], row["change_high"] = np.nanquantile(differences, (tail, 1 - tail))
    columns = [
        "question", "measure", "table", "n", "value", "reference", "ci_low", "ci_high", "p",
        "change", "change_low", "change_high", "status", "reason",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)
