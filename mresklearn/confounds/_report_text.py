"""The report in prose: what is a confound here, what is not, and what to do."""

import numpy as np

from ._report_rows.study import FEWEST_MATCHED
from ._report_to_do import list_to_do
from ._severity import at_least
from ._verdicts import ALPHA

__all__ = ["Reader", "write_reading", "write_study", "write_summary"]

MEANING = {
    "confounder": "is a confounder",
    "not identifiable": "cannot be told apart from what is studied",
    "noise": "is noise, but no confounder",
    "imbalance": "is unbalanced, but does not show in the images",
    "harmless": "is no confounder",
    "unknown": "may or may not be a confounder",
}


class Reader:
    """Looks rows up in a fitted report and puts their numbers into words."""

    def __init__(self, report):
        self.table = report.table_

    def rows(self, **wanted):
        """Return the rows with these values."""
        kept = np.ones(len(self.table), dtype=bool)
        for column, value in wanted.items():
            kept &= (self.table[column] == value).to_numpy()
        return self.table[kept]

    def row(self, **wanted):
        """Return the first such row that has a number, or None."""
        found = self.rows(**wanted)
        found = found[found.status != "not_estimable"]
        return None if found.empty else found.iloc[0]

    @staticmethod
    def number(row):
        """Return the corrected value with its interval and p."""
        text = f"{row.value_adj:z.2f}"
        if np.isfinite(row.ci_low):
            text += f" ({row.ci_low:z.2f} to {row.ci_high:z.2f})"
        if np.isfinite(row.p):
            text += f", p = {row.p:.2g}"
        return text

    @staticmethod
    def share(row):
        """Return a share of variance in percent, with its interval and p."""
        text = f"{row.value_adj:z.1%}"
        if np.isfinite(row.ci_low):
            text += f" ({row.ci_low:z.1%} to {row.ci_high:z.1%})"
        if np.isfinite(row.p):
            text += f", p = {row.p:.2g},"
        return text


def write_summary(report):
    """Write the paragraphs of a fitted report.

    Parameters
    ----------
    report : ConfoundReport
        Fitted.

    Returns
    -------
    text : str
    """
    return "\n\n".join([write_study(report), *write_reading(report), _to_do(report)])


def write_reading(report):
    """Return the paragraphs that say what is a confound and what is not."""
    reader = Reader(report)
    paragraphs = [
        *_verdicts(report, reader),
        _overlap(report, reader),
        _images(report, reader),
        _transfer(report, reader),
        _model(report, reader),
        _left_out(report, reader),
        _biology(report),
        _unmeasured(report, reader),
    ]
    return [paragraph for paragraph in paragraphs if paragraph]


def write_study(report):
    """Return who was measured, and what was held fixed."""
    target = report.variables_[report.target]
    present = target.values[target.present]
    text = f"{len(target.values)} people"
    if report.site_column is not None:
        site = report.variables_[report.site_column]
        counts = site.counts()
        text += (
            f" of {len(site.levels)} sites ({_range(counts)} each)"
            if len(counts)
            else " of no known site"
        )
    if len(present):
        text += f"; {report.target} {present.min():.3g} to {present.max():.3g}"
    held = listed([report.target, *report.covariates_])
    text += f". Held fixed where images or predictions are examined: {held}."
    left_out = [f"{name}: {note}" for name, note in report.notes_.items() if note]
    return text + (f" Of {'; of '.join(left_out)}." if left_out else "")


def _verdicts(report, reader):
    technical = report.verdicts_[report.verdicts_.role == "technical"]
    order = list(MEANING)
    technical = technical.assign(rank=[order.index(v) for v in technical.verdict])
    return [
        _verdict(report, reader, name, verdict)
        for name, verdict in technical.sort_values("rank", kind="stable").iterrows()
    ]


def _verdict(report, reader, name, verdict):
    text = f"'{name}' {MEANING[verdict.verdict]}. {verdict.reason}"
    rda = reader.row(variable=name, against="features", measure="rda_partial_r2")
    if rda is not None:
        text += (
            f" At equal {listed(rda.conditioning.split(' + '))} it explains {reader.share(rda)} of "
            f"the variance of the images: a {rda.severity} effect."
        )
    with_target = reader.row(variable=name, against=report.target)
    if with_target is not None and with_target.measure.startswith(("eps", "cram", "spear")):
        text += (
            f" Its association with {report.target} is {reader.number(with_target)} "
            f"({with_target.measure.replace('_', ' ')}, {with_target.severity})."
        )
    return text


def _overlap(report, reader):
    if report.site_column is None:
        return ""
    rows = reader.rows(against=report.target, measure="overlap_coefficient")
    few = rows[rows.status == "low_overlap"]
    text = ""
    if len(few):
        names = listed([_level(name) for name in few.variable])
        text = (
            f"{len(few)} of {len(rows)} sites have fewer than {FEWEST_MATCHED} people with "
            f"counterparts of their {report.target} elsewhere, in effect: {names}. Nothing can be "
            "said of these sites one by one."
        )
    support = reader.row(variable=report.site_column, measure="common_support")
    if support is not None:
        text += (
            f" {support.value:.0%} of the people lie in the range of {report.target} that all "
            "sites share."
        )
    lacking = reader.rows(measure="overlap_coefficient", status="low_overlap")
    lacking = lacking[lacking.reason.str.startswith("The site has nobody")]
    for other, rows in lacking.groupby("against", sort=False):
        text += (
            f" Some level of {other} that is to be expected is missing at "
            f"{listed([_level(name) for name in rows.variable])}."
        )
    return text.strip()


def _images(report, reader):
    site = report.site_column
    parts = []
    for probe, say in (("linear", "a linear probe"), ("rbf", "a curved one")):
        accuracy = reader.row(
            variable=site, against="features", measure=f"balanced_accuracy_{probe}"
        )
        excess = reader.row(variable=site, against="features", measure=f"excess_{probe}")
        if accuracy is not None and excess is not None:
            parts.append(
                f"{say} finds it with balanced accuracy {accuracy.value:.2f}, an excess of "
                f"{reader.number(excess)} over {report.target}"
            )
    if not parts:
        return ""
    floor = reader.row(variable=site, against=report.target, measure="balanced_accuracy_linear")
    text = f"What the images say of {site}: {', and '.join(parts)}."
    if floor is not None:
        guess = 1 / max(1, len(report.variables_[site].levels))
        text += f" Guessing gives {guess:.2f}, {report.target} alone {floor.value:.2f}."
    spread = reader.row(variable=site, against="features", measure="dispersion_epsilon_squared")
    if spread is not None and at_least(spread.severity, "small"):
        text += f" Sites differ in spread too ({reader.number(spread)}): means are not all."
    return text + _parts(report, reader)


def _parts(report, reader):
    """Say how the explained variance splits."""
    site = report.site_column
    found = [
        reader.row(variable=site, against="features", measure=measure)
        for measure in (f"unique_{report.target}", f"unique_{site}", "shared")
    ]
    if any(row is None for row in found):
        return ""
    age, own, shared = (row.value_adj for row in found)
    return (
        f" Of the variance of the images, {age:.1%} is unique to {report.target}, {own:.1%} to "
        f"{site}, and {shared:.1%} cannot be assigned to either."
    )


def _transfer(report, reader):
    row = reader.row(
        variable=report.site_column, against="features", measure="shift_transfer_ratio"
    )
    if row is None:
        return ""
    return (
        f"At a new site, {row.value:.0%} ({row.ci_low:.0%} to {row.ci_high:.0%}) of its shift lies "
        f"in directions that the other sites span, against {row.null_mean:.0%} by chance. "
        f"{row.advice}"
    )


def _model(report, reader):
    parts = []
    for name in report.verdicts_.index:
        row = reader.row(variable=name, against="gap", measure="partial_r2")
        if row is not None and at_least(row.severity, "small"):
            sure = ", and chance alone may have done it" if row.p > ALPHA else ""
            parts.append(f"{name} explains {reader.share(row)} of the gap ({row.severity}{sure})")
    asked = len(reader.rows(against="gap", measure="partial_r2")) > 0
    text = f"After the model, {'; '.join(parts)}." if parts else ""
    if asked and not parts:
        text = "After the model, nothing explains more than 2 % of the gap."
    biased = reader.rows(against="gap", measure="mean_gap")
    biased = biased[(biased.ci_low > 0) | (biased.ci_high < 0)]
    biased = biased[biased.severity.map(lambda severity: at_least(severity, "small"))]
    if len(biased):
        sites = listed(
            [
                f"{_level(name)} ({value:+.1f})"
                for name, value in zip(biased.variable, biased.value_adj, strict=True)
            ]
        )
        text += (
            f" Biased at equal {report.target}: {sites}, by intervals that are not adjusted for "
            "the number of sites."
        )
    excess = reader.row(variable=report.site_column, against="embedding", measure="excess_linear")
    if excess is not None:
        text += f" The embedding tells the site with an excess of {reader.number(excess)}."
    return text.strip()


def _left_out(report, reader):
    """Say what the error is where the site is left out of training."""
    site = report.site_column
    people = reader.row(variable=site, measure="unseen_site_error")
    if people is None:
        return ""
    text = (
        f"Where their site is left out of training, the mean absolute error of the same people is "
        f"{people.value:.2f}, at known sites {people.null_mean:.2f}: a difference of "
        f"{reader.number(people)} ({people.severity})."
    )
    sites = reader.row(variable=site, measure="unseen_site_error_mean_of_sites")
    if sites is not None:
        text += f" With every site counting alike, the difference is {reader.number(sites)}."
    rows = reader.rows(measure="unseen_site_error")
    rows = rows[(rows.variable != site) & (rows.status == "ok")]
    if len(rows):
        worst = rows.loc[rows.value_adj.idxmax()]
        text += (
            f" The error grows at {(rows.value_adj > 0).sum()} of {len(rows)} sites, most at "
            f"{_level(worst.variable)} ({worst.value_adj:+.2f})."
        )
    return text


def _biology(report):
    names = list(report.verdicts_.index[report.verdicts_.role == "biological"])
    if not names:
        return ""
    return (
        f"Biology: {listed(names)}. No confound to be removed, whatever the numbers: balance it, "
        "hold it fixed, or report by it."
    )


def _unmeasured(report, reader):
    rows = reader.rows(status="not_estimable")
    if rows.empty:
        return ""
    names = list(dict.fromkeys(rows.variable))
    return (
        f"{len(rows)} of {len(report.table_)} rows have no number, on {listed(names)}; the column "
        "'reason' says why."
    )


def _to_do(report):
    """List what is to be done, each advice once."""
    advice = list_to_do(report)
    return "To do:\n" + "\n".join(f"- {line}" for line in advice) if advice else "To do: nothing."


def _range(counts):
    low, high = counts.min(), counts.max()
    return f"{low}" if low == high else f"{low} to {high}"


def listed(names, most=8):
    """Join names as a sentence does."""
    names = [str(name) for name in names]
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _level(name):
    return name[name.index("[") + 1 : -1]
