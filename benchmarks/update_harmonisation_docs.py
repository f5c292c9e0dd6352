"""Write the stored results of harmonisation into docs/harmonisation.md, so that none is typed.

python benchmarks/update_harmonisation_docs.py [--check]
"""

from __future__ import annotations

from collections.abc import Callable

from _pages import main, markdown, number, stored

MODES = {
    "raw": "not harmonised", "ignore": '`"ignore"`', "training": '`"training"`',
    "shrunk": '`"shrunk"`', "full": '`"full"` (a leak)', "no site effect": "*no site effects*",
}  # fmt: skip
LIBRARIES = {"combatlearn": "combatlearn (not ComBat)"}


def with_error(row: dict[str, float], name: str, digits: int = 2) -> str:
    return f"{row[name]:.{digits}f} ± {row[f'{name}_se']:.{digits}f}"


def known_sites() -> str:
    tables = stored("combat_target")["a"]
    columns = [
        (tables[mechanism][eta], f"eta {eta}{extra}")
        for mechanism, extra in (("shift and scale", ""), ("no site effect", ", no site effects"))
        for eta in tables[mechanism]
    ]
    return markdown(
        ["target", *(title for _, title in columns)],
        [
            [title, *(with_error(column[mode], "mae") for column, _ in columns)]
            for mode, title in MODES.items()
        ],
    )


def no_signal() -> str:
    tables = stored("combat_target")["b"]
    columns = [
        (tables[balance][p], score, f"{p} features{extra}")
        for balance, p, score, extra in (
            ("10 to 90 %", "20", "auc", ""),
            ("10 to 90 %", "200", "auc", ""),
            ("10 to 90 %", "1000", "auc", ""),
            ("10 to 90 %", "200", "auc_within", ", within sites"),
            ("50 %", "200", "auc", ", 50 % at every site"),
        )
    ]
    return markdown(
        ["target", *(title for *_, title in columns)],
        [
            [title, *(with_error(table[mode], score) for table, score, _ in columns)]
            for mode, title in MODES.items()
        ],
    )


def in_between() -> str:
    tables = stored("combat_target")["c"]
    rows = []
    for key, score, within, digits in (
        ("classes, 20 features", "auc", "auc_within", 2),
        ("classes, 200 features", "auc", "auc_within", 2),
        ("age, 20 features", "mae", "r_within", 1),
        ("age, 200 features", "mae", "r_within", 1),
    ):
        for signal in ("0.0", "0.05", "0.1", "0.2", "0.5"):
            row = tables[key][signal]
            clean = row["no site effect"]
            rows.append(
                [f"{key}: {'AUC' if score == 'auc' else 'MAE'}", number(clean[within])]
                + [number(clean[score], digits)]
                + [
                    f"{row[mode][f'{score}_apart']:+.{digits}f}"
                    for mode in ("raw", "ignore", "training", "shrunk")
                ]
            )
    return markdown(
        ["", "AUC or r within sites", "no site effects", "not harmonised",
         *(MODES[mode] for mode in ("ignore", "training", "shrunk"))],
        rows,
    )  # fmt: skip


def leaks() -> str:
    tables = stored("combat_target")["d"]
    modes = [*list(MODES)[:-1], "full, all people", "no site effect"]
    titles = MODES | {"full, all people": '`"full"`, fitted to the tested people too'}
    rows = []
    for mode in modes:
        found = [number(table[mode]["site_ba"]) for table in tables.values()]
        rows.append([titles[mode], *found, number(tables["0.4"][mode].get("changed"), 1)])
    floor = ["age alone (the floor)", *(number(t["raw"]["age_floor"]) for t in tables.values())]
    head = ["target", *(f"eta {eta}" for eta in tables), "moved by other test ages (SD)"]
    return markdown(head, [*rows, [*floor, "-"]])


def adapted() -> str:
    tables = stored("combat_target")["e"]
    columns = [
        (tables[mechanism][eta], f"eta {eta}{extra}")
        for mechanism, extra in (("shift and scale", ""), ("no site effect", ", no site effects"))
        for eta in tables[mechanism]
    ]
    return markdown(
        ["", *(title for _, title in columns)],
        [
            [way, *(with_error(column[way], "mae") for column, _ in columns)]
            for way in columns[0][0]
        ],
    )


def brain_age(name: str) -> Callable[[], str]:
    def table() -> str:
        rows = stored("harmonization_real_data")[name]
        floor = rows["raw"]["age_floor"]
        lines = []
        for method, row in rows.items():
            cells = [method]
            for protocol in ("within_site", "leave_one_site_out"):
                cells.append(number(row.get(protocol)))
                low, high = (row.get(f"{protocol}_{end}") for end in ("low", "high"))
                if method == "raw" or low is None:
                    cells.append("-")
                else:
                    difference = row[f"{protocol}_difference"]
                    cells.append(f"{difference:+.2f} ({low:+.2f} to {high:+.2f})")
            adapted = row.get("transductive")
            pair = f"{number(adapted)} (raw {number(row.get('raw_on_same_people'))})"
            cells.append("-" if adapted is None else pair)
            cells.append(number(row.get("site_ba")))
            lines.append(cells)
        head = ["", "known sites", "minus raw", "site left out", "minus raw", "adapted",
                f"site, floor {floor:.2f}"]  # fmt: skip
        return markdown(head, lines)

    return table


def without_meaning() -> str:
    rows = stored("harmonization_real_data")["without_meaning"]
    return markdown(
        ["", "AUC, all people", "AUC, within sites"],
        [[name, with_error(row, "auc"), number(row["auc_within"])] for name, row in rows.items()],
    )


def retest() -> str:
    table = stored("harmonization_real_data")["retest"]["icc"]
    volumes = list(dict.fromkeys(key.split(", ")[0] for key in table))
    kinds = list(dict.fromkeys(key.split(", ")[2] for key in table))
    rows = []
    for volume in volumes:
        for state in ("raw", "ComBat"):
            found = [table[f"{volume}, {state}, {kind}"] for kind in kinds]
            cells = [f"{one['icc']:.3f} ({one['low']:.2f} to {one['high']:.2f})" for one in found]
            rows.append([f"{volume.split('_')[0].upper()}, {state}", *cells])
    return markdown(["volume", *kinds], rows)


def speed() -> str:
    rows = []
    for row in stored("combat_speed")["shapes"]:
        shape = f"{row['n']} x {row['p']:,}, {row['sites']}"
        library = LIBRARIES.get(row["library"], row["library"])
        if "left_out" in row:
            rows.append([shape, library, f"left out: {row['left_out']}", "", "", "", ""])
            continue
        seconds = [number(row.get(name), 3) for name in ("fit", "transform", "together")]
        rows.append([shape, library, *seconds, number(row["times_ours"], 1), number(row["extra"])])
    head = ["people x features, sites", "", "fit", "transform", "both", "times ours"]
    head.append("memory / data")
    return markdown(head, rows)


def from_file() -> str:
    file = stored("combat_speed")["file"]
    return (
        f"{file['n']} people x {file['p']:,} features of {file['n_sites']} sites in a float32 file "
        f"of {file['file_gib']:.1f} GiB: the fit takes {file['fit_cpu_s']:.0f} s of CPU time and "
        f"{file['fit_private_gib']:.2f} GiB of private memory at most, harmonising 100 people at a "
        f"time {file['transform_cpu_s']:.0f} s and {file['transform_private_gib']:.2f} GiB. The "
        f"parameters are {file['parameters_gib']:.2f} GiB of it."
    )


TABLES: dict[str, Callable[[], str]] = {
    "known sites": known_sites,
    "no signal": no_signal,
    "in between": in_between,
    "leaks": leaks,
    "adapted": adapted,
    "fcon1000": brain_age("fcon1000"),
    "ixi": brain_age("ixi"),
    "without meaning": without_meaning,
    "retest": retest,
    "speed": speed,
    "from a file": from_file,
}


if __name__ == "__main__":
    main("harmonisation.md", TABLES, __doc__)
