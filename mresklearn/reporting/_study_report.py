"""study_report: the page of a study, from what was measured in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date as calendar
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils._param_validation import HasMethods, Interval, validate_params
from sklearn.utils.validation import check_is_fitted

from ..confounds._report_to_do import list_to_do
from ..exceptions import MissingMetadataError
from ._descriptions import describe
from ._embedding import Embedding, embed
from ._numbers import as_percent, as_range, listed
from ._page import Page, render
from ._study_charts import (
    age_bands,
    draw_ages,
    draw_embedding,
    draw_predictions,
    draw_site_errors,
    hardest_protocol,
    site_keys,
)
from ._study_tables import (
    PROTOCOLS,
    SHORT,
    cohort_table,
    comparison_table,
    model_table,
    site_error_table,
)
from ._study_words import (
    cohort_in_words,
    embedding_in_words,
    list_study_warnings,
    model_in_words,
    sites_in_words,
)
from ._svg import marker

__all__ = ["StudyReport", "study_report"]


@dataclass(frozen=True, eq=False)
class StudyReport(Page):
    """The page of a study; :func:`study_report` makes it.

    Attributes
    ----------
    title : str
        Heading of the page.
    html : str
        The whole page.
    warnings : tuple of str
        What stands on top of it.
    tables : dict of str to DataFrame
        The numbers of the page: ``"cohort"``; with results ``"models"``, ``"sites"`` and, for
        several models, ``"comparison"``; with embeddings ``"embeddings"``.
    """

    warnings: tuple[str, ...] = ()
    tables: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False)


@validate_params(
    {
        "participants": [pd.DataFrame],
        "results": [Mapping, None],
        "embeddings": [Mapping, None],
        "confounds": [HasMethods(["to_frame", "summary"]), None],
        "confounds_page": [str, None],
        "title": [str],
        "age_column": [str],
        "sex_column": [str, None],
        "site_column": [str],
        "model": [Mapping, None],
        "details": [Mapping, None],
        "confidence": [Interval(Real, 0, 1, closed="neither")],
        "random_state": [Interval(Integral, 0, None, closed="left")],
        "date": [str, None],
    },
    prefer_skip_nested_validation=True,
)
def study_report(
    *,
    participants: pd.DataFrame,
    results: Mapping[str, Any] | None = None,
    embeddings: Mapping[str, Any] | None = None,
    confounds: Any = None,
    confounds_page: str | None = None,
    title: str = "Brain age study",
    age_column: str = "age",
    sex_column: str | None = "sex",
    site_column: str = "site",
    model: Mapping[str, Any] | None = None,
    details: Mapping[str, Any] | None = None,
    confidence: float = 0.95,
    random_state: int = 0,
    date: str | None = None,
) -> StudyReport:
    """Write the page of a study: who, what confounds, how good at known and at new sites.

    Everything but the participants may be left out, and its section then is. A notice that this is
    research and no diagnosis is part of every page.

    Parameters
    ----------
    participants : DataFrame
        One row a person, with age, site and, if known, sex. Where people have several rows, a
        column ``person`` says whose they are.
    results : mapping or None, default=None
        Result of :func:`~mresklearn.model_selection.cross_validate_sites` by name of the model, or
        one such result. The first is shown in detail, and the others are tested against it.
    embeddings : mapping of str to array-like of shape (n, d), default=None
        Feature tables by name, such as ``{"before": X, "after": ComBat().fit_transform(X)}``, rows
        as in `participants`, of people that the transformer was not fitted on where that is
        possible. Standardise features of different units first.
    confounds : ConfoundReport or None, default=None
        Fitted; its verdicts and what to do are shown.
    confounds_page : str or None, default=None
        Address of its own page, relative to this one, for a link.
    title : str, default="Brain age study"
        Heading.
    age_column, sex_column, site_column : str
        Columns of `participants`; defaults "age", "sex", "site". A sex column that is not there is
        left out.
    model : mapping or None, default=None
        Where models come from; mappings within become groups.
    details : mapping or None, default=None
        What is shown under the heading: data set, licence, revision.
    confidence : float, default=0.95
        Coverage of all intervals.
    random_state : int, default=0
        Seed of the bootstrap.
    date : str or None, default=None
        Date of the page; None takes today.

    Returns
    -------
    report : StudyReport
        With ``html``, ``to_html(path)``, ``warnings`` and ``tables``.

    Raises
    ------
    MissingMetadataError
        If there is no age or site column.
    ValueError
        If results or embeddings are not what they should be, or come from other people, or the
        confound report is not fitted (NotFittedError).

    See Also
    --------
    person_report : The page of one person.
    mresklearn.confounds.ConfoundReport : Finds confounds; has a page of its own.

    Notes
    -----
    Intervals of a mean absolute error draw people where sites are known, and sites and then their
    people where sites are left out (see :func:`~mresklearn.metrics.bootstrap_ci`). Those of single
    sites come from :func:`~mresklearn.metrics.site_scores`, and tests of one model against another
    from :func:`~mresklearn.model_selection.compare_models`. The shares of variance that go with age
    and site are adjusted :math:`R^2` of least squares over all columns, each by itself: where sites
    differ in age, they overlap.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.linear_model import Ridge
    >>> from mresklearn.model_selection import cross_validate_sites
    >>> from mresklearn.reporting import study_report
    >>> rng = np.random.default_rng(0)
    >>> people = pd.DataFrame({"site": np.repeat(["Delaware", "Mayo", "Utah"], 30),
    ...                        "age": rng.uniform(20, 80, 90), "sex": ["F", "M"] * 45})
    >>> X = people.age.to_numpy()[:, np.newaxis] + rng.normal(0, 9, (90, 3))
    >>> ridge = cross_validate_sites(Ridge(), X, people.age, site=people.site)
    >>> report = study_report(participants=people, results={"ridge": ridge}, embeddings={"X": X})
    >>> report.tables["cohort"].n_people["all sites"]
    np.int64(90)
    >>> report.warnings
    ('With 3 sites, no test over sites can reach p = 0.05, and intervals at new sites are wide.',)
    """
    people = _check_people(participants, age_column, site_column)
    if confounds is not None:
        check_is_fitted(confounds, "table_")
    sex = sex_column if sex_column is not None and sex_column in people else None
    tables = {"cohort": cohort_table(people, age_column, sex, site_column)}
    age = pd.to_numeric(people[age_column], errors="coerce").to_numpy(float)
    site = people[site_column].astype(str).str.strip().to_numpy()
    keys = site_keys(tables["cohort"].index[:-1])
    about = _about_models(results, tables, keys, confidence, int(random_state))
    warnings = list_study_warnings(
        tables["cohort"], tables.get("models"), tables.get("sites"), confounds
    )
    known = np.isfinite(age)
    cohort_words = cohort_in_words(tables["cohort"])
    names = list(tables["cohort"].index[:-1])
    html = render(
        "study.html",
        title=title,
        cohort=tables["cohort"],
        cohort_words=cohort_words,
        has_sex=sex is not None,
        ages=draw_ages(
            age[known], site[known], names[::-1], f"Ages by site, with medians. {cohort_words}"
        ),
        confounds=_about_confounds(confounds),
        confounds_page=confounds_page,
        models=about,
        protocols=PROTOCOLS,
        short=SHORT,
        embedding=_about_embeddings(embeddings, age, site, keys, tables),
        warnings=warnings,
        confidence=confidence,
        range=as_range,
        model=describe(model),
        details=describe(details),
        date=date or calendar.today().isoformat(),
    )
    return StudyReport(title, html, tuple(warnings), tables)


def _check_people(participants: pd.DataFrame, age: str, site: str) -> pd.DataFrame:
    missing = [name for name in (age, site) if name not in participants]
    if missing:
        raise MissingMetadataError(
            f"participants has no column {' and no column '.join(map(repr, missing))}, only "
            f"{list(participants.columns)}. Name yours with age_column= and site_column=."
        )
    if not pd.to_numeric(participants[age], errors="coerce").notna().any():
        raise ValueError(f"Nobody in participants has a numeric age in the column {age!r}.")
    known = participants[site].notna()
    return participants.assign(
        **{site: participants[site].astype(object).where(known, "not known")}
    )


def _about_models(
    results: Any,
    tables: dict[str, pd.DataFrame],
    keys: dict[str, tuple[str, str]],
    confidence: float,
    random_state: int,
) -> dict[str, Any] | None:
    """Fill the tables of all models, and draw the first."""
    if not results:
        return None
    named = {"model": results} if "predictions" in results else dict(results)
    for name, result in named.items():
        if not isinstance(result, Mapping) or not {"predictions", "summary"} <= set(result):
            raise ValueError(
                f"results[{name!r}] is no result of cross_validate_sites: it lacks 'predictions' "
                "or 'summary'."
            )
        unknown = set(result["predictions"].site) - set(keys)
        if unknown:
            raise ValueError(
                f"results[{name!r}] has people of {listed(sorted(unknown))}, where no participant "
                "is. Give the participants that were cross-validated."
            )
    seeded: dict[str, Any] = {"confidence": confidence, "random_state": random_state}
    first = next(iter(named))
    tables["models"] = model_table(named, **seeded)
    tables["sites"] = errors = site_error_table(named[first], **seeded)
    if len(named) > 1:
        tables["comparison"] = comparison_table(named, **seeded)
    protocol = hardest_protocol(errors.index.get_level_values("protocol"))
    lines = named[first]["predictions"]
    lines = lines[lines.protocol == protocol]
    drawn = lines[(lines.seed == lines.seed.iloc[0]) & (lines.repeat == lines.repeat.iloc[0])]
    words = model_in_words(tables["models"], first, confidence)
    sites = sites_in_words(errors, protocol)
    row = tables["models"].query("model == @first and protocol == @protocol").iloc[0]
    alt = f"Predicted against chronological age, {PROTOCOLS[protocol]}. r = {row.r:.2f}."
    shown = {name: key for name, key in keys.items() if name in set(drawn.site)}
    return {
        "first": first,
        "words": words,
        "main": row,
        "where": PROTOCOLS[protocol],
        "table": tables["models"],
        "sites": errors,
        "sites_words": sites,
        "both": protocol != "within_site" and "within_site" in errors.index.get_level_values(0),
        "comparison": tables.get("comparison"),
        "predictions": draw_predictions(drawn, keys, alt),
        "one_draw": len(drawn) < len(lines),
        "errors": draw_site_errors(errors, f"Mean absolute error of each site. {sites}"),
        "keys": [(marker(hue, shape), name) for name, (hue, shape) in shown.items()],
        "solid": marker("solid"),
        "hollow": marker("hollow"),
    }


def _about_confounds(report: Any) -> dict[str, Any] | None:
    if report is None:
        return None
    return {"verdicts": report.verdicts_, "to_do": list(list_to_do(report))}


def _about_embeddings(
    embeddings: Mapping[str, Any] | None,
    age: np.ndarray,
    site: np.ndarray,
    keys: dict[str, tuple[str, str]],
    tables: dict[str, pd.DataFrame],
) -> dict[str, Any] | None:
    """Draw each table twice: coloured by site, and by age."""
    if not embeddings:
        return None
    known = np.isfinite(age)
    codes = pd.factorize(site[known], sort=True)[0]
    found = []
    for name, table in embeddings.items():
        table = np.asarray(table)
        if table.ndim and len(table) != len(age):
            raise ValueError(
                f"The embedding {name!r} has {len(table)} rows, but there are {len(age)} "
                "participants. Give one row for each, in the same order."
            )
        found.append(embed(str(name), table[known] if table.ndim else table, age[known], codes))
    bands = age_bands(age[known])
    ends = np.array([low for low, _ in bands[1:]])
    by_age = [f"age-{band}" for band in np.searchsorted(ends, age[known], side="right")]
    by_site, shapes = zip(*(keys[name] for name in site[known]), strict=True)
    round_marks = ["circle"] * len(by_age)
    tables["embeddings"] = pd.DataFrame(
        [{"by_site": one.by_site, "by_age": one.by_age} for one in found],
        index=pd.Index([one.name for one in found], name="embedding"),
    )

    return {
        "words": embedding_in_words(found),
        "charts": [
            {
                "name": one.name[:1].upper() + one.name[1:],
                "by_site": draw_embedding(one, by_site, shapes, _say(one, "site", one.by_site)),
                "by_age": draw_embedding(one, by_age, round_marks, _say(one, "age", one.by_age)),
                "site_share": one.by_site,
                "age_share": one.by_age,
            }
            for one in found
        ],
        "sites": [(marker(*keys[name]), name) for name in keys],
        "bands": [
            (marker(f"age-{k}"), f"{low:g} to {high:g}") for k, (low, high) in enumerate(bands)
        ],
    }


def _say(one: Embedding, what: str, share: float) -> str:
    """Return the message of a chart."""
    return f"{one.name}, coloured by {what}: {what} explains {as_percent(share)} of the variance."
