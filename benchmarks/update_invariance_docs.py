"""Write the stored results of domain-invariant learning into docs/invariance.md.

python benchmarks/update_invariance_docs.py [--check]
"""

from __future__ import annotations

from collections.abc import Callable

from _pages import main, markdown, number, stored

SETS = ("known, linear", "known, rbf")


def fcon1000(methods: Callable[[str], bool]) -> Callable[[], str]:
    """Return a maker of a table of these methods."""

    def table() -> str:
        results = stored("invariance_fcon1000")
        rows = results["table"]
        lines = [
            [
                name, f"{row['seeds']:.0f}", number(row["MAE"]), number(row.get("SD over seeds")),
                number(row["mean over sites"]), f"{row['sites better than ridge']:.0%}",
                number(row.get("p against ridge"), 3),
                number(row.get("known, error")),
                *(number(row.get(key)) for key in SETS),
            ]
            for name, row in rows.items() if methods(name)
        ]  # fmt: skip
        floor = rows["ridge"]["known, floor"]
        head = ["", "seeds", "MAE", "SD over seeds", "mean over sites", "sites better than ridge",
                "p", "known sites", f"site, linear (floor {floor:.2f})", "site, RBF"]  # fmt: skip
        return markdown(head, lines)

    return table


def is_published(name: str) -> bool:
    return name.endswith("as published")


def published() -> str:
    """Return the penalties of a published comparison beside ours of the same name."""
    rows = stored("invariance_fcon1000")["table"]
    lines = []
    for kind in ("network", "adversarial", "mmd", "coral", "hsic"):
        cells = ["none" if kind == "network" else kind]
        for name in (f"{kind}, as published", kind):
            row = rows.get(name, rows[kind] if kind == "network" else None)
            cells += [number(row["MAE"]), *(number(row[key]) for key in SETS)]
        lines.append(cells)
    head = ["", "as published: MAE, new sites", "site, linear", "site, RBF",
            "as intended: MAE, new sites", "site, linear", "site, RBF"]  # fmt: skip
    return markdown(head, lines)


def weights() -> str:
    rows = stored("invariance_fcon1000")["table"]
    prefix = "mean over sites, weight "
    chosen = [(name, row) for name, row in rows.items() if f"{prefix}1" in row]
    keys = [key for key in chosen[0][1] if key.startswith(prefix)]
    head = ["", *(key.removeprefix("mean over sites, ") for key in keys)]
    return markdown(head, [[name, *(number(row[key]) for key in keys)] for name, row in chosen])


def path() -> str:
    rows = stored("invariance_path_fcon1000")["table"]
    weight = "domaininvariantregressor__penalty_weight"
    lines = [
        [
            f"{row[weight]:g}" + (" (chosen)" if row["chosen"] else ""),
            f"{row['error_left_out']:.2f} ± {row['error_left_out_se']:.2f}",
            number(row["error_known"]), number(row["site_linear"]), number(row["site_rbf"]),
            number(row["site_floor"]),
        ]
        for row in rows
    ]  # fmt: skip
    head = ["weight", "sites left out", "known sites, half of the people", "site, linear",
            "site, RBF", "floor"]  # fmt: skip
    return markdown(head, lines)


def mre134(target: str) -> Callable[[], str]:
    """Return a maker of the table of one target."""

    def table() -> str:
        rows = [row for row in stored("invariance_mre134")["table"] if row["target"] == target]
        scores = ["AUC", "AUC within studies"] if target == "sex" else ["MAE"]
        lines = [
            [
                row["method"] + (f", weight {row['weight']:g}" if row["weight"] != 1 else ""),
                *(number(row[score]) for score in scores), number(row["left out"]),
                number(row["linear"]), number(row["rbf"]),
            ]
            for row in rows
        ]  # fmt: skip
        titles = ["AUC", "AUC, same study"] if target == "sex" else ["MAE"]
        left = "AUC, new study" if target == "sex" else "MAE, new study"
        floors = [f"{rows[0][f'floor_{probe}']:.2f}" for probe in ("linear", "rbf")]
        return markdown(
            ["", *titles, left, f"study, linear (floor {floors[0]})",
             f"study, RBF (floor {floors[1]})"],
            lines,
        )  # fmt: skip

    return table


def composition() -> str:
    rows = stored("invariance_composition")["table"]
    columns = list(next(iter(rows.values())))
    return markdown(
        ["", *columns],
        [[name, *(number(row[c], 1) for c in columns)] for name, row in rows.items()],
    )


def composition_wins() -> str:
    rows = stored("invariance_composition")["wins"]
    return markdown(
        ["", "better", "of cohorts", "mean difference (years)"],
        [[name, str(row["better"]), str(row["cohorts"]), f"{row['mean difference']:+.2f}"]
         for name, row in rows.items()],
    )  # fmt: skip


def simulated(kind: str) -> Callable[[], str]:
    """Return a maker of the summary at known or new sites."""

    def table() -> str:
        rows = stored("invariance_simulated")["summary"][kind]
        return markdown(
            ["", "mean difference from ridge (years)", "cells better", "by more than 0.2 years"],
            [[name, f"{row['mean difference from ridge']:+.2f}", f"{row['better']:.0%}",
              f"{row['better by more than 0.2']:.0%}"]
             for name, row in rows.items() if name != "ridge"],
        )  # fmt: skip

    return table


def cost() -> str:
    ratios = stored("penalty_cost")["ratios"]
    return markdown(
        ["penalty", "step with it / without"],
        [[name, number(value)] for name, value in ratios.items()],
    )


TABLES: dict[str, Callable[[], str]] = {
    "fcon1000": fcon1000(lambda name: not is_published(name)),
    "published": published,
    "weights": weights,
    "path": path,
    "mre134, sex": mre134("sex"),
    "mre134, age": mre134("age"),
    "composition": composition,
    "composition, wins": composition_wins,
    "simulated, new sites": simulated("new"),
    "simulated, known sites": simulated("known"),
    "cost": cost,
}


if __name__ == "__main__":
    main("invariance.md", TABLES, __doc__)
