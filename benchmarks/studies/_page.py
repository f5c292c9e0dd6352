"""docs/studies.md: every table and figure of it from stored results."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd

from .._pages import DOCS, markdown, number
from ._figures import SIMULATED
from ._protocols import Persons, Sites
from ._reporting import result_name, stored_results
from ._results import POOLED
from .declared import declared, names

PAGE = DOCS / "studies.md"
PROTOCOLS = {protocol.name: protocol.title for protocol in (Persons, Sites)}


def tables() -> dict[str, Callable[[], str]]:
    """Return a maker for every block of the page."""
    return {
        **{f"{name}, {part}": partial(make, name)
           for name in names()
           for part, make in (("conditions", conditions), ("scores", scores), ("tests", tests))},
    }  # fmt: skip


def conditions(name: str) -> str:
    """Say what was run, on what, and when; and show the figure."""
    study, results = declared(name), stored_results(result_name(name, "default"))
    lines = [f"**{study.question}**", "", study.reading, ""]
    if results is None:
        return "\n".join([*lines, f"Not run yet: `python -m benchmarks.studies run {name}`."])
    machine = results["machines"][0]
    budget = ", ".join(f"{key} {value}" for key, value in results["network"].items())
    simulated = "; ".join(
        f"{data['name']}, {data['people']} people of {data['sites']} sites at "
        f"{data['voxel_size']} mm"
        for data in results["datasets"]
        if "voxel_size" in data
    )
    real = [data["name"] for data in results["datasets"] if "voxel_size" not in data]
    warned = ", ".join(f"{kind} {count}" for kind, count in results["warnings"].items())
    lines += [
        f"{results['finished']} of {results['planned']} cells; data: "
        + "; ".join(part for part in (simulated, ", ".join(real)) if part)
        + (f". All networks: {budget}" if budget else "")
        + f". Revision {', '.join(results['cell_revisions'])}, seeds "
        f"{', '.join(map(str, results['seeds']))}, {results['fit_cpu_seconds'] / 60:.0f} minutes "
        f"of CPU in fits, {machine['gpu'] or 'no GPU'}, scikit-learn {machine['scikit-learn']}, "
        f"torch {machine['torch']}." + (f" Cells that warned: {warned}." if warned else ""),
        "",
        f"![{study.question}](images/{result_name(name, 'default')}.png)",
    ]
    if results["simulated"]:
        lines += ["", f"*{SIMULATED}*"]
    return "\n".join(lines)


def scores(name: str) -> str:
    """Return a table a protocol and data set: methods down, inputs across if there are several."""
    results = stored_results(result_name(name, "default"))
    if results is None:
        return ""
    summary = pd.DataFrame(results["summary"])
    parts = []
    for (dataset, protocol), rows in summary.groupby(["dataset", "protocol"], sort=False):
        parts.append(
            f"{dataset}, {PROTOCOLS[protocol]}: {results['score']}, mean over folds (SD).\n\n"
            + (_by_inputs(rows) if rows["inputs"].nunique() > 1 else _with_site(rows))
        )
    return "\n\n".join(parts)


def _by_inputs(rows: pd.DataFrame) -> str:
    inputs = list(dict.fromkeys(rows["inputs"]))
    lines = []
    for method, own in rows.groupby("method", sort=False):
        own = own.set_index("inputs")
        lines.append(
            [method, *(_score(own.loc[one]) if one in own.index else "-" for one in inputs)]
        )
    return markdown(["method", *inputs], lines)


def _with_site(rows: pd.DataFrame) -> str:
    probed = rows["site_read"].notna().any()
    head = ["method", "score", *(["site read", "from age alone"] if probed else [])]
    return markdown(
        head,
        [[row.method, _score(row), *([_number(row.site_read), _number(row.site_floor)]
                                     if probed else [])] for row in rows.itertuples()],
    )  # fmt: skip


def tests(name: str) -> str:
    """Return the main comparison, or all comparisons where there is no main one."""
    results = stored_results(result_name(name, "default"))
    if results is None or not results["tests"]:
        return ""
    table = pd.DataFrame(results["tests"])
    families = table["family"].unique()
    shown = table[table["family"] == ("main" if "main" in families else "each")]
    what = results["compared"]
    within = "method" if what == "inputs" else "inputs"
    plain = "main" in families  # the methods are pooled, so that there is none to name
    lines = [
        [
            row[what], row["dataset"], *([] if plain else [row[within]]),
            PROTOCOLS[row["protocol"]],
            f"{row['difference']:+.2f} ({_signed(row['low'])} to {_signed(row['high'])})",
            _number(row["p_value"], 3), _number(row["p_holm"], 3), _number(row["smallest_p"], 3),
        ]
        for row in shown.to_dict("records")
    ]  # fmt: skip
    averaged = f", {POOLED}" if "main" in families else ""
    text = (
        f"Difference from {results['reference']} in {results['score']}{averaged}, with 95 % "
        "interval. Corrected resampled t test over folds of persons; sign flips over sites, whose "
        f"smallest possible p is given. Holm over the {_counts(shown)} comparisons of a data set "
        "and protocol."
    )
    if "main" in families:
        each = table[table["family"] == "each"]
        found = int((each["p_holm"].astype(float) < 0.05).sum())
        text += (
            f" Method by method, {found} of {len(each)} comparisons have p below 0.05 after Holm "
            f"over the {_counts(each)} of a data set and protocol; all stand in "
            f"`benchmarks/results/{result_name(name, 'default')}.json`."
        )
    head = [what, "data", *([] if plain else [within]), "protocol", "difference", "p", "p, Holm",
            "smallest p"]  # fmt: skip
    return text + "\n\n" + markdown(head, lines)


def _counts(rows: pd.DataFrame) -> str:
    """Say how many comparisons the families have, for each data set where they differ."""
    by_data = rows.groupby("dataset", sort=False)["n_comparisons"].agg(["min", "max"]).astype(int)
    if by_data["min"].min() == by_data["max"].max():
        return str(by_data["max"].max())
    return ", ".join(
        f"{low if low == high else f'{low} to {high}'} ({data})"
        for data, low, high in by_data.itertuples()
    )


def _score(row: Any) -> str:
    return f"{row.score:.2f} ({_number(row.sd_over_folds)})"


def _number(value: float | None, digits: int = 2) -> str:
    return number(None if pd.isna(value) else value, digits)


def _signed(value: float | None) -> str:
    return "-" if pd.isna(value) else f"{value:+.2f}"
