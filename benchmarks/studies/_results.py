"""From cells to results: tidy tables, means over folds, and tests as each protocol allows."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mresklearn.exceptions import UnanswerableWarning
from mresklearn.metrics import bootstrap_ci, corrected_resampled_ttest, sign_flip_test
from mresklearn.metrics._adjusted_p_values import adjust_p_values
from mresklearn.model_selection import compare_models

from .._results import _revision
from ._describe import describe
from ._protocols import Persons, Sites
from ._runner import read_cells
from ._study import Study

CONDITION = ["dataset", "inputs", "method", "protocol"]
POOLED = "mean of the methods"
PROTOCOL_NAMES = {protocol.package_name: protocol.name for protocol in (Persons, Sites)}


def results_of(study: Study, store: Path) -> dict[str, Any]:
    """Return everything that is reported of a study, as what JSON can hold.

    Conditions of which a fold or seed is missing are left out of means and tests.

    Parameters
    ----------
    study : Study
        At the scale that was run.
    store : Path
        Folder of its cells.

    Returns
    -------
    results : dict
        ``cells`` (a row per cell), ``summary`` (per condition) and ``tests`` as lists of rows;
        ``finished``, ``planned``; and what they come from: ``versions`` and hardware, ``revisions``
        of the code, ``seeds``, ``conditions``.
    """
    found = read_cells(study, store)
    planned = study.cells(store)
    predictions = _predictions(found)
    rows = _cell_rows(study, found)
    complete = _complete(planned, rows)
    kept = _only(rows, complete)
    machines = {str(record["machine"]): record["machine"] for _, record in found}
    return {
        "study": study.name,
        "question": study.question,
        "reading": study.reading,
        "score": study.task.score_name,
        "compared": study.compared,
        "reference": study.reference,
        "simulated": [data.name for data in study.datasets if not data.real],
        "finished": len(found),
        "planned": len(planned),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": _revision(),
        "cell_revisions": sorted({str(record["revision"]) for _, record in found}),
        "machines": list(machines.values()),
        "fit_seconds": sum(record["fit_seconds"] for _, record in found),
        "fit_cpu_seconds": sum(record["fit_cpu_seconds"] for _, record in found),
        "seeds": list(study.seeds),
        "network": dict(study.network),
        "datasets": [describe(data) for data in study.datasets if data.available()],
        "protocols": [describe(protocol) for protocol in study.protocols],
        "warnings": _warnings(found),
        "summary": _records(_summary(kept)),
        "tests": _records(_tests(study, _only(predictions, complete))),
        "cells": _records(rows),
    }


def _predictions(found: list) -> pd.DataFrame:
    """Return a row per cell and tested row, as compare_models takes them."""
    parts = []
    for cell, record in found:
        repeat, fold = cell.protocol.place(cell.fold)
        names = ("row", "person", "site", "y", "prediction")
        frame = pd.DataFrame({name: record[name] for name in names})
        parts.append(
            frame.assign(
                dataset=cell.dataset.name, inputs=cell.inputs, method=cell.method,
                protocol=cell.protocol.name, seed=cell.conditions.seed, repeat=repeat, fold=fold,
                n_train=record["n_train"], train_mean=record["train_mean"],
                train_median=record["train_median"],
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=CONDITION)


def _cell_rows(study: Study, found: list) -> pd.DataFrame:
    rows = []
    for cell, record in found:
        repeat, fold = cell.protocol.place(cell.fold)
        y, predictions = np.array(record["y"]), np.array(record["prediction"])
        sites = sorted(set(record["site"]))
        rows.append(
            {
                "dataset": cell.dataset.name,
                "inputs": cell.inputs,
                "method": cell.method,
                "protocol": cell.protocol.name,
                "repeat": repeat,
                "fold": fold,
                "seed": cell.conditions.seed,
                "site": sites[0] if cell.protocol.name == Sites.name else None,
                "n_train": record["n_train"],
                "n_test": len(y),
                "score": study.task.score(y, predictions),
                "site_read": (record["probe"] or {}).get("balanced_accuracy"),
                "site_floor": (record["probe"] or {}).get("age_floor"),
                "fit_seconds": record["fit_seconds"],
                "fit_cpu_seconds": record["fit_cpu_seconds"],
                "key": record["key"],
            }
        )
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=[*CONDITION, "score"])


def _complete(planned: list, rows: pd.DataFrame) -> set[tuple]:
    """Return the conditions of which every fold and seed is there."""
    expected = pd.Series(
        [(c.dataset.name, c.inputs, c.method, c.protocol.name) for c in planned], dtype=object
    ).value_counts()
    there = pd.Series(list(rows[CONDITION].itertuples(index=False, name=None)), dtype=object)
    counts = there.value_counts()
    return {key for key, number in expected.items() if counts.get(key, 0) == number}


def _only(frame: pd.DataFrame, conditions: set[tuple]) -> pd.DataFrame:
    keys = frame[CONDITION].itertuples(index=False, name=None)
    return frame[np.array([key in conditions for key in keys], dtype=bool)]


def _summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return means over folds; seeds are averaged within folds first."""
    lines = []
    for key, frame in rows.groupby(CONDITION, sort=False):
        by_fold = frame.groupby(["repeat", "fold"])["score"].mean()
        by_seed = frame.groupby("seed")["score"].mean()
        lines.append(
            {
                **dict(zip(CONDITION, key, strict=True)),
                "score": by_fold.mean(),
                "sd_over_folds": by_fold.std(ddof=1),
                "sd_over_seeds": by_seed.std(ddof=1) if len(by_seed) > 1 else None,
                "n_folds": len(by_fold),
                "n_seeds": len(by_seed),
                "site_read": frame["site_read"].astype(float).mean(),
                "site_floor": frame["site_floor"].astype(float).mean(),
                "fit_seconds": frame["fit_seconds"].mean(),
                "fit_cpu_seconds": frame["fit_cpu_seconds"].mean(),
            }
        )
    return pd.DataFrame(lines)


def _tests(study: Study, predictions: pd.DataFrame) -> pd.DataFrame:
    """Return a row per comparison and protocol, p adjusted by Holm within each family.

    A family is what one table asks: the main comparison averages the absolute errors of the pooled
    methods; each method by itself is another family, over all methods and inputs of a data set and
    protocol.
    """
    within = "method" if study.compared == "inputs" else "inputs"
    parts = []
    for dataset, of_dataset in predictions.groupby("dataset", sort=False):
        for group, a, b in _pairs(study, of_dataset, within):
            varied = a[study.compared].iloc[0]
            table = (
                _compare_ages(a, b) if study.task.name == "age" else _compare_scores(study, a, b)
            )
            table = table.assign(
                dataset=dataset, **{within: group, study.compared: varied},
                family="main" if group == POOLED else "each", reference=study.reference,
            )  # fmt: skip
            parts.append(table)
    if not parts:
        return pd.DataFrame()
    tests = pd.concat(parts, ignore_index=True)
    tests["p_holm"] = np.nan
    for _, rows in tests.groupby(["dataset", "protocol", "family"], sort=False):
        tests.loc[rows.index, "p_holm"] = adjust_p_values(rows.p_value.to_numpy(float), "holm")
        tests.loc[rows.index, "n_comparisons"] = len(rows)
    return tests


def _pairs(study: Study, frame: pd.DataFrame, within: str) -> Iterator[tuple[str, Any, Any]]:
    """Give every condition with its reference, then the pooled methods with theirs."""
    groups = list(frame.groupby(within, sort=False))
    if study.compared == "inputs" and study.pooled:
        # what does not look at the maps has nothing to compare
        groups = [(name, part) for name, part in groups if name in study.pooled]
        pooled = frame[frame["method"].isin(study.pooled)]
        there = pooled.groupby(["inputs", "protocol"])["method"].transform("nunique")
        pooled = pooled[there == len(study.pooled)]  # a mean over fewer methods is another one
        if len(pooled):
            groups.append((POOLED, _methods_as_seeds(pooled, study.pooled)))
    for name, part in groups:
        reference = part[part[study.compared] == study.reference]
        for varied, one in part.groupby(study.compared, sort=False):
            if varied != study.reference and len(reference):
                protocols = set(one.protocol) & set(reference.protocol)
                if protocols:
                    yield (
                        name,
                        one[one.protocol.isin(protocols)],
                        reference[reference.protocol.isin(protocols)],
                    )


def _methods_as_seeds(frame: pd.DataFrame, methods: tuple[str, ...]) -> pd.DataFrame:
    """Return a frame whose absolute errors are averaged over methods, as over seeds.

    A method that has one seed stands in for all seeds, so that every method has the same weight.
    """
    parts = []
    seeds = sorted(frame["seed"].unique())
    for name in methods:
        own = frame[frame["method"] == name]
        for seed in seeds:
            part = own[own["seed"] == seed]
            part = part if len(part) else own[own["seed"] == own["seed"].min()]
            parts.append(part.assign(seed=len(parts)))
    return pd.concat(parts)


def _compare_ages(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    names = {short: long for long, short in PROTOCOL_NAMES.items()}
    a, b = (frame.assign(protocol=frame["protocol"].map(names)) for frame in (a, b))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnanswerableWarning)  # smallest_p stands in the table
        table = compare_models({"predictions": a}, {"predictions": b})
    table = table.rename(columns={"mae_a": "score", "mae_b": "score_reference"})
    return table.rename(index=PROTOCOL_NAMES).reset_index()


def _compare_scores(study: Study, a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Test fold by fold, or site by site, where the score is not a mean over people."""
    rows = []
    for protocol in dict.fromkeys(a["protocol"]):
        one, other = (_fold_scores(study, f[f["protocol"] == protocol]) for f in (a, b))
        difference = (one["score"] - other["score"]).dropna()
        row = {
            "protocol": protocol,
            "score": one["score"].mean(),
            "score_reference": other["score"].mean(),
            "difference": difference.mean(),
            "n_units": len(difference),
        }
        if protocol == Persons.name:
            test = corrected_resampled_ttest(
                difference.unstack("fold").to_numpy(), one["n_train"].to_numpy(),
                one["n_test"].to_numpy(), repeats="partitions",
            )  # fmt: skip
            row |= {"low": test.low, "high": test.high, "p_value": test.p_value,
                    "smallest_p": 0.0, "test": "corrected resampled t"}  # fmt: skip
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UnanswerableWarning)
                test = sign_flip_test(difference.to_numpy(), random_state=0)
            low = high = np.nan
            if len(difference) > 2:
                bounds = bootstrap_ci(np.mean, difference.to_numpy(), random_state=0)
                low, high = bounds.low, bounds.high
            row |= {"low": low, "high": high, "p_value": test.p_value,
                    "smallest_p": test.smallest_p, "test": "sign flip over sites"}  # fmt: skip
        rows.append(row)
    return pd.DataFrame(rows)


def _fold_scores(study: Study, frame: pd.DataFrame) -> pd.DataFrame:
    """Return score and sizes by partition and fold, averaged over seeds."""
    lines = {}
    for key, part in frame.groupby(["repeat", "fold"]):
        scores = [
            study.task.score(one["y"].to_numpy(str), one["prediction"].to_numpy(float))
            for _, one in part.groupby("seed")
        ]
        lines[key] = {
            "score": np.mean(scores),
            "n_train": part["n_train"].iloc[0],
            "n_test": len(part) // len(scores),
        }
    table = pd.DataFrame(lines).T
    table.index.names = ["repeat", "fold"]
    return table


def _warnings(found: list) -> dict[str, int]:
    """Count the cells of each kind of warning."""
    kinds = [
        kind for _, record in found for kind in {text.split(":")[0] for text in record["warnings"]}
    ]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows as dicts, with None where there is no number."""
    return table.astype(object).where(table.notna(), None).to_dict("records")
