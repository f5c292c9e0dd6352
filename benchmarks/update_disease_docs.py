"""Write the stored results on disease into docs/disease.md.

python benchmarks/update_disease_docs.py [--check]
"""

from __future__ import annotations

from collections.abc import Callable

from _pages import main, markdown, number, stored

# what a unit of each measure of progression_oasis2.py is
UNITS = {
    "nWBV": "1 percentage point of the head",
    "MMSE": "1 point",
    "age": "1 year",
    "sex: M - F": "men to women",
}
WAYS = ("gap, regions", "gap, voxels", "hippocampus", "classifier")
PUBLISHED = {"AD": 11, "MCI": 20}
PREDICTIONS = {
    "noise, ridge 1": "noise",
    "noise, ridge 1000": "noise, strongly penalised",
    "noise, ridge 100000": "noise, penalised to a constant",
    "signal": "a signal",
    "OASIS-1, nWBV": "brain volume, OASIS-1",
    "OASIS-1, nWBV shuffled": "the same, shuffled",
}


def between(row: dict, name: str, digits: int = 2) -> str:
    """Return an estimate with its interval."""
    return f"{row[name]:.{digits}f} ({row['low']:.{digits}f} to {row['high']:.{digits}f})"


def diagnosis() -> str:
    results = stored("diagnosis_oasis1")
    rows = []
    for name, row in results["table"].items():
        rows.append([
            name, f"{row['seeds']:.0f}", between(row, "AUC"),
            number(row.get("SD over seeds")), number(row["sensitivity at 90 % specificity"]),
            number(row.get("sensitivity")), number(row.get("specificity")),
            number(row["Brier score"]), number(row.get("p against volume, age, sex")),
        ])  # fmt: skip
    head = [
        "told from", "seeds", "AUC (95 % interval)", "SD over seeds",
        "sensitivity at 90 % specificity", "sensitivity", "specificity", "Brier score",
        "p against volume, age and sex",
    ]  # fmt: skip
    people = (
        f"{results['n_dementia']} people with CDR above 0, {results['n_healthy']} with CDR 0; T1 "
        "at 4 mm; five stratified folds of whole persons, everything fitted in the fold "
        "(`benchmarks/diagnosis_oasis1.py`).\n\n"
    )
    return people + markdown(head, rows)


def corrected() -> str:
    results = stored("corrected_age_demonstration")
    rows = []
    for name, called in PREDICTIONS.items():
        row = results[name]
        cells = [
            f"{row[way]['mae']:.1f} / {row[way]['r']:.2f}" for way in ("raw", "cole", "de_lange")
        ]
        rows.append([called, number(row["mean age"]["mae"], 1), *cells])
    head = ["predictions of", "mean age", "raw", "after Cole", "after de Lange"]
    note = "Mean absolute error in years / r with age; the line is fitted to other people.\n\n"
    return note + markdown(head, rows)


def level() -> str:
    shares = stored("gap_comparison_level")["shares"]
    methods = {
        "level, CR2": "level of `compare_gaps`",
        "level, HC3": "level with HC3",
        "coverage, g, effect 1": "coverage, Hedges' g",
        "coverage, area, effect 1": "coverage, area",
        "coverage, area, adjustment as known, effect 1": "coverage, area as DeLong",
    }
    rows = []
    for patients in sorted({row["patients"] for row in shares}):
        some = [row for row in shares if row["patients"] == patients]
        cells = [
            f"{min(row[name] for row in some):.2f} to {max(row[name] for row in some):.2f}"
            for name in methods
        ]
        rows.append([f"{patients}", *cells])
    note = (
        "Range over designs (12 to 60 controls, patients as old or 10 years older, equal or double "
        "noise); level at 0.05, coverage of 95 % intervals where the effect is one SD.\n\n"
    )
    return note + markdown(["patients", *methods.values()], rows)


def power() -> str:
    table = stored("diagnosis_power")["table"]
    rows = []
    for group, patients in PUBLISHED.items():
        for maps in ("stiffness", "damping ratio", "stiffness + damping ratio", "T1"):
            found = {
                row["way"]: row for row in table
                if (row["group"], row["maps"], row["n_patients"]) == (group, maps, patients)
                and not row["balanced"]
            }  # fmt: skip
            cells = [
                f"{found[way]['power']:.0%} ({found[way]['power_low']:.0%} to "
                f"{found[way]['power_high']:.0%})" if way in found else "-"
                for way in WAYS
            ]  # fmt: skip
            rows.append([f"{patients} {group}, {maps}", *cells])
    return markdown(["patients, maps", *WAYS], rows)


def retest() -> str:
    results = stored("losses_oasis1")
    rows = [
        [name, f"{row['people']:.0f}", between(row, "icc"),
         number(row["sd of a scan"], 1), number(results["table"][name]["MAE"])]
        for name, row in results["retest"].items() if row["sd of a scan"]
    ]  # fmt: skip
    head = [
        "model",
        "people",
        "ICC(1,1) of the gap",
        "SD of one scan (years)",
        "MAE of all (years)",
    ]
    return markdown(head, rows)


def progression() -> str:
    results = stored("progression_oasis2")["midpoint"]
    people = f"{results['n_people']} people, {results['n_events']} of whom convert.\n\n"
    rows = [
        [name, UNITS.get(name, "1"), between(row, "hazard_ratio")]
        for name, row in results["table"].items()
    ]
    areas = results["concordance"]
    said = "; ".join(
        f"{name} {between(areas[key], 'corrected')}"
        for key, name in (("covariates only", "of age and sex"), ("features", "with the measures"))
    )
    note = (
        f"\n\nConcordance, corrected for optimism: {said}. Brain volume and MMSE add nothing that "
        f"{results['n_events']} converters could show (likelihood ratio p "
        f"{results['added']['p_value']:.2f})."
    )
    return people + markdown(["measure", "unit", "hazard ratio per unit"], rows) + note


TABLES: dict[str, Callable[[], str]] = {
    "diagnosis": diagnosis,
    "corrected": corrected,
    "level": level,
    "power": power,
    "retest": retest,
    "progression": progression,
}


if __name__ == "__main__":
    main("disease.md", TABLES, __doc__)
