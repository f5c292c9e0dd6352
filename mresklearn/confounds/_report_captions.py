"""What the pictures of a page show: a title, how to read it, and the findings in words."""

from ._severity import SEVERITIES

__all__ = ["CAPTIONS", "describe_picture"]

PAIRS = ("cramers_v", "spearman", "epsilon_squared", "epsilon_squared_of_ranks")
CAPTIONS = {
    "association": (
        "What goes together",
        "Each pair of columns on the scale of a correlation, corrected for chance. Framed: one "
        "determines the other.",
    ),
    "overlap": (
        "{Target} by site",
        "A dot a person, a bar the median. Overlap: with the other sites, 1 is complete. Matched: "
        "people with counterparts elsewhere, in effect; below ten (orange) nothing can be said of "
        "the site.",
    ),
    "effects": (
        "What moves the images",
        "Share of the variance of images at equal {target} and biology, with its interval; below "
        "it the median feature and the 95th percentile.",
    ),
    "probes": (
        "How well the site can be read",
        "Balanced accuracy of a linear and a curved probe. What counts is the distance from "
        "{target} alone, not from guessing.",
    ),
    "transfer": (
        "Shift within reach",
        "Share of the shift of a held-out site that lies in directions which the other sites span: "
        "what a method can remove that never saw the site.",
    ),
    "variance": (
        "Whose variance it is",
        "What is unique to {target}, unique to each technical variable, and not to be told apart.",
    ),
    "bias": (
        "Bias by site",
        "Mean gap beyond that of people of like {target} elsewhere, with its interval; open: the "
        "plain mean gap.",
    ),
    "errors": (
        "Error by site",
        "Mean absolute error of the same people, predicted by a model that knows their site and by "
        "one that does not.",
    ),
}


def describe_picture(report, name):
    """Return title, caption and text alternative of a picture."""
    words = {"target": report.target, "Target": report.target[:1].upper() + report.target[1:]}
    title, caption = (part.format(**words) for part in CAPTIONS[name])
    return title, caption, f"{title}. {_FINDINGS[name](report)}"


def _association(report):
    rows = _rows(report, measures=PAIRS)
    order = {severity: place for place, severity in enumerate(SEVERITIES)}
    rows = rows.assign(rank=rows.severity.map(order))
    rows = rows[rows["rank"] > 0].sort_values("rank", ascending=False, kind="stable")
    found = [f"{row.variable} with {row.against} {row.severity}" for row in rows.itertuples()]
    return _listed(found, "No pair of columns goes together.")


def _overlap(report):
    rows = _rows(report, measures=("overlap_coefficient",), against=report.target)
    if rows.empty:
        return "Nothing to show."
    few = int((rows.status == "low_overlap").sum())
    return (
        f"Overlap coefficients of {len(rows)} sites from {rows.value_adj.min():.2f} to "
        f"{rows.value_adj.max():.2f}; {few} of them have fewer than ten matched people."
    )


def _effects(report):
    rows = _rows(report, measures=("rda_partial_r2",), against="features")
    return _listed([f"{row.variable} {row.value_adj:.2f}" for row in rows.itertuples()])


def _probes(report):
    rows = _rows(report, measures=("balanced_accuracy_linear", "balanced_accuracy_rbf"))
    rows = rows[rows.against.isin(["features", "embedding", "prediction"])]
    return _listed(
        [
            f"{row.against}, {row.measure.rsplit('_', 1)[1]} probe {row.value:.2f}, through "
            f"{report.target} alone {row.null_mean:.2f}"
            for row in rows.itertuples()
        ]
    )


def _transfer(report):
    rows = _rows(report, measures=("shift_transfer_ratio",), against="features")
    rows = rows[rows.variable == report.site_column]
    return _listed([f"All sites {row.value:.2f}, by chance {row.null_mean:.2f}"
                    for row in rows.itertuples()])  # fmt: skip


def _variance(report):
    rows = _rows(report, measures=("shared",), against="features")
    found = []
    for name in rows.variable:
        parts = _rows(report, against="features", variable=name).set_index("measure").value_adj
        found.append(
            f"{name}: {parts[f'unique_{report.target}']:.2f} {report.target} only, "
            f"{parts[f'unique_{name}']:.2f} {name} only, {parts['shared']:.2f} either"
        )
    return _listed(found)


def _bias(report):
    rows = _rows(report, measures=("mean_gap",))
    clear = (rows.ci_low > 0) | (rows.ci_high < 0)
    return (
        f"From {rows.value_adj.min():+.1f} to {rows.value_adj.max():+.1f}; {clear.sum()} of "
        f"{len(rows)} intervals exclude 0."
    )


def _errors(report):
    rows = _rows(report, measures=("unseen_site_error",))
    return _listed(
        [f"{row.variable} {row.null_mean:.2f} known, {row.value:.2f} left out"
         for row in rows.itertuples()]
    )  # fmt: skip


def _rows(report, *, measures=None, **wanted):
    table = report.table_
    kept = table.status != "not_estimable"
    if measures is not None:
        kept = kept & table.measure.isin(list(measures))
    for column, value in wanted.items():
        kept = kept & (table[column] == value)
    return table[kept]


def _listed(parts, otherwise="Nothing to show."):
    return f"{'; '.join(parts)}." if parts else otherwise


_FINDINGS = {
    "association": _association,
    "overlap": _overlap,
    "effects": _effects,
    "probes": _probes,
    "transfer": _transfer,
    "variance": _variance,
    "bias": _bias,
    "errors": _errors,
}
