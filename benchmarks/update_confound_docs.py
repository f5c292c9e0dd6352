"""Write the stored benchmark results into docs/confounds.md, so that no figure there is typed.

Tables stand between "<!-- begin NAME -->" and "<!-- end NAME -->". A single figure in a sentence is

    <!--STUDY VARIABLE|AGAINST|MEASURE|COLUMN|FORMAT-->figure<!--/-->, from a row of a report;
    <!--STUDY scores|PROTOCOL|SCORE|FORMAT-->figure<!--/-->, or checks, stored beside it;
    <!--level NAME-->figure<!--/-->, from the simulation.

    python benchmarks/update_confound_docs.py [--check]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd

FOLDER = Path(__file__).parent
DOCUMENT = FOLDER.parent / "docs" / "confounds.md"
FIGURE = re.compile(r"<!--(\w+) ([^>\n]+)-->.*?<!--/-->", re.S)
TABLE = re.compile(r"<!-- begin ([\w ]+) -->\n.*?<!-- end \1 -->", re.S)
# measures on all sites that the documents show, in the order of the questions
MEASURES = {
    "cramers_v": "Cramér's V",
    "spearman": "Spearman's correlation",
    "epsilon_squared": "epsilon squared",
    "common_support": "people in the range that all sites share",
    "rda_partial_r2": "share of the variance",
    "partial_r2_p95": "share, 95th percentile of features",
    "dispersion_epsilon_squared": "difference in spread",
    "balanced_accuracy_linear": "linear probe",
    "excess_linear": "linear probe, excess",
    "balanced_accuracy_rbf": "curved probe",
    "excess_rbf": "curved probe, excess",
    "shift_transfer_ratio": "shift-transfer ratio",
    "partial_r2": "share of the variance",
    "unseen_site_error": "error at left-out sites (years)",
    "unseen_site_error_mean_of_sites": "the same, every site counting alike",
}
QUESTIONS = {"features": "images", "prediction": "model", "gap": "model"}
OFFERED = {
    "nested_f": "`nested_f`",
    "gcm": "`gcm`",
    "stratified_permutation": "`stratified_permutation`",
    "partial_confounder": "`partial_confounder`",
}


def stored(name: str) -> dict:
    """Return the stored results of a benchmark."""
    return json.loads((FOLDER / "results" / f"{name}.json").read_text())["results"]


def report(study: str) -> pd.DataFrame:
    """Return the rows of a stored report, NaN where there is no number."""
    return pd.DataFrame(stored(f"confound_report_{study}")["table"])


def markdown(head: list[str], lines: list[list[str]]) -> str:
    """Return a Markdown table."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def number(value: float, digits: int = 2) -> str:
    """Return a number, a dash where there is none."""
    if value is None or not np.isfinite(value):
        return "-"
    return f"{value:z.{digits}f}"


def verdicts(study: str) -> str:
    """Return what each variable is."""
    lines = []
    for name, row in stored(f"confound_report_{study}")["verdicts"].items():
        sizes = [row[key] or "-" for key in ("entangled", "moves_images", "in_gap")]
        lines.append([f"`{name}`", row["role"], *sizes, f"**{row['verdict']}**"])
    return markdown(["variable", "role", "design", "images", "gap", "verdict"], lines)


def effects(study: str) -> str:
    """Return the main rows on whole variables, question by question."""
    table = report(study)
    whole = table[~table.variable.str.contains("[", regex=False) & table.measure.isin(MEASURES)]
    order = {question: place for place, question in enumerate(("design", "images", "model"))}
    question = whole.against.map(QUESTIONS).fillna("design")
    whole = whole.assign(question=question, place=question.map(order))
    lines = []
    for row in whole.sort_values("place", kind="stable").to_dict("records"):
        interval = f" ({number(row['ci_low'])} to {number(row['ci_high'])})"
        of_value = row["measure"] == "shift_transfer_ratio"
        lines.append(
            [
                row["question"],
                f"{row['variable']} and {row['against']}".replace("features", "images"),
                MEASURES[row["measure"]],
                number(row["value"]) + interval * of_value,
                number(row["null_mean"]),
                number(row["value_adj"]) + interval * (not of_value),
                number(row["p_adj"], 3),
                row["severity"] if row["status"] == "ok" else row["status"].replace("_", " "),
            ]
        )
    head = ["question", "what", "measure", "value", "by chance", "corrected (95 %)", "p (FDR)", ""]
    return markdown(head, lines)


def sites(study: str) -> str:
    """Return one line a site: people, overlap, transfer, bias and error."""
    table = report(study)
    table = table[table.variable.str.startswith("site[")].set_index(
        ["variable", "measure", "against"]
    )
    lines = []
    for name in dict.fromkeys(table.index.get_level_values("variable")):
        overlap, shift = (
            (name, "overlap_coefficient", "age"),
            (name, "shift_transfer_ratio", "features"),
        )
        bias, error = (name, "mean_gap", "gap"), (name, "unseen_site_error", "gap")
        people = table.n.get(error)
        lines.append(
            [
                name[5:-1],
                f"{people:.0f}",
                number(table.value_adj.get(overlap)),
                number(table.overlap_ess.get(overlap), 1),
                number(table.value.get(shift)),
                _signed(table, bias),
                number(table.null_mean.get(error), 1),
                number(table.value.get(error), 1),
                _signed(table, error),
            ]
        )
    head = ["site", "people", "overlap", "matched people", "shift in reach", "bias (95 %)",
            "error, known", "error, left out", "difference (95 %)"]  # fmt: skip
    return markdown(head, lines)


def _signed(table: pd.DataFrame, key: tuple[str, str, str]) -> str:
    if key not in table.index or not np.isfinite(table.value_adj[key]):
        return "-"
    row = table.loc[key]
    return f"{row.value_adj:+z.1f} ({row.ci_low:+z.1f} to {row.ci_high:+z.1f})"


def prose(study: str) -> str:
    """Return the summary that the report writes, as a quotation."""
    lines = stored(f"confound_report_{study}")["summary"].split("\n")
    return "\n".join(f"> {line}".rstrip() for line in lines)


def level(design: str) -> str:
    """Return the share of simulations in which each test rejects, under the null and not."""
    table = stored("confound_tests_level")["rejected"][design]
    head = ["", *(f"{kind}, η = {column.split()[-1]}" for column in table
                  for kind in [column.split(",")[0]])]  # fmt: skip
    tests = list(next(iter(table.values())))
    lines = []
    for test in tests:
        what, name = test.split(": ")
        shown = OFFERED.get(name, f"*{name.strip('[]')}*")
        lines.append([f"{what}: {shown}", *(f"{found[test]:.3f}" for found in table.values())])
    return markdown(head, lines)


def level_figures() -> dict[str, str]:
    """Return the ranges that sentences on level and power quote."""
    results = stored("confound_tests_level")
    record = json.loads((FOLDER / "results" / "confound_tests_level.json").read_text())
    lines = pd.DataFrame(
        [
            {"design": design, "kind": column.split(",")[0], "eta": column.split()[-1],
             "test": test, "share": share}
            for design, table in results["rejected"].items()
            for column, found in table.items()
            for test, share in found.items()
        ]
    )  # fmt: skip
    null, power = (lines[lines.kind == kind] for kind in ("level", "power"))
    offered = null[~null.test.str.contains("[", regex=False)].share

    def between(rows: pd.DataFrame, test: str, digits: int = 2) -> str:
        found = rows[rows.test == test].share
        return f"{found.min():.{digits}f} to {found.max():.{digits}f}"

    entangled = null[(null.eta != "0.0")]
    return {
        "repeats": str(record["settings"]["repeats"]),
        "error": f"{results['standard_error_at_level']:.3f}",
        "offered": f"{offered.min():.4f} to {offered.max():.4f}",
        "cells": str(len(offered)),
        "anova": between(entangled, "prediction: [anova of the gap]", 3),
        "hsic": between(entangled, "embedding: [hsic]", 3),
        "permuted": between(null[null.design == "unequal"], "prediction: [F, permuted residuals]"),
        "raw": between(power, "prediction: [partial_confounder, raw]"),
        "residual": between(power, "prediction: partial_confounder"),
        "raw_level": between(null, "prediction: [partial_confounder, raw]"),
        "gcm": between(power, "embedding: gcm"),
        "f": between(power, "embedding: nested_f"),
    }  # fmt: skip


def figure(source: str, key: str) -> str:
    """Return one figure of a sentence."""
    if source == "level":
        return level_figures()[key]
    if key.startswith(("scores|", "checks|")):
        kind, first, second, form = key.split("|")
        return format(stored(f"confound_report_{source}")[kind][first][second], form)
    variable, against, measure, column, form = key.split("|")
    table = report(source)
    row = table[
        (table.variable == variable) & (table.against == against) & (table.measure == measure)
    ]
    if len(row) != 1:
        raise KeyError(f"{source} {key}: {len(row)} rows")
    return format(row[column].item(), form)


def render(text: str) -> str:
    """Return the document with its tables and figures made anew."""
    makers = {
        "verdicts": verdicts,
        "effects": effects,
        "sites": sites,
        "prose": prose,
        "level": level,
    }

    def table(match: re.Match[str]) -> str:
        kind, name = match[1].split()
        return f"<!-- begin {match[1]} -->\n{makers[kind](name)}\n<!-- end {match[1]} -->"

    text = TABLE.sub(table, text)
    return FIGURE.sub(lambda m: f"<!--{m[1]} {m[2]}-->{figure(m[1], m[2])}<!--/-->", text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if the document is out of date")
    text = DOCUMENT.read_text(encoding="utf-8")
    updated = render(text)
    if parser.parse_args().check:
        sys.exit(0 if text == updated else "docs/confounds.md is out of date: run this script.")
    DOCUMENT.write_text(updated, encoding="utf-8")


if __name__ == "__main__":
    main()
