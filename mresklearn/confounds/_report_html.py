"""The report as one page: verdicts, advice, prose, pictures and tables; nothing loaded."""

import base64
from html import escape
from io import BytesIO
from pathlib import Path

import numpy as np

from ._report_captions import describe_picture
from ._report_page import PAGE
from ._report_text import Reader, write_reading, write_study
from ._report_to_do import list_to_do

__all__ = ["render_page"]

GROUPS = {
    "Design: metadata and overlap": None,
    "Images": ("features",),
    "Embedding": ("embedding",),
    "Prediction and gap": ("prediction", "gap"),
}
VERDICTS = ("variable", "role", "goes with", "design", "images", "gap", "verdict", "why")
# column of the table, heading, and what it holds
COLUMNS = (
    ("variable", "variable", "What is examined; site[Utah] is one site against the rest."),
    ("against", "against", "What it is held against; features are the images."),
    ("conditioning", "held fixed", "What is held fixed meanwhile."),
    ("measure", "measure", "The effect, as named in the table."),
    ("n", "people", "People who have all values."),
    ("value", "value", "The effect as measured."),
    ("null_mean", "by chance", "What chance gives; of errors, that of the people compared with."),
    ("value_adj", "corrected", "The value less chance: the number to read."),
    ("interval", "interval", "Limits of the corrected value; of a shift-transfer ratio, of value."),
    ("p_adj", "p (FDR)", "Adjusted for all rows of the report."),
    ("status", "status", "ok; nested: one determines the other; low overlap: it rests on a model; "
     "not estimable: there is no number."),
    ("severity", "severity", "By size: negligible, small, medium or large."),
)  # fmt: skip
NUMBERS = ("n", "value", "null_mean", "value_adj", "interval", "p_adj")


def render_page(report, path):
    """Write the page of a fitted report; see :meth:`ConfoundReport.to_html`."""
    from .. import __version__

    page = PAGE.substitute(
        study=escape(write_study(report)),
        verdicts=_verdicts(report),
        to_do=_to_do(report),
        reading="\n".join(f"<p>{escape(part)}</p>" for part in write_reading(report)),
        pictures="\n".join(_pictures(report)),
        n_rows=len(report.table_),
        tables="\n".join(_tables(report)),
        columns=_columns(),
        confidence=f"{100 * report.confidence:g}",
        permutations=report.n_permutations,
        version=escape(__version__),
    )
    path = Path(path)
    path.write_text(page, encoding="utf-8")
    return path


def _verdicts(report):
    heads = "".join(f'<th scope="col">{name}</th>' for name in VERDICTS)
    lines = []
    for name, row in report.verdicts_.iterrows():
        plain = [name, row.role, ", ".join(row.goes_with) or "-"]
        cells = [
            *(f"<span>{escape(str(text))}</span>" for text in plain),
            *(_severity(row[column]) for column in ("entangled", "moves_images", "in_gap")),
            f"<b>{escape(row.verdict)}</b>",
            f"<span>{escape(row.reason)}</span>",
        ]
        named = zip(VERDICTS, cells, strict=True)
        line = "".join(f'<td data-name="{head}">{cell}</td>' for head, cell in named)
        lines.append(f"<tr>{line}</tr>")
    body = "\n".join(lines)
    return f'<table class="verdicts"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'


def _to_do(report):
    """List each advice once, with the findings that ask for it."""
    items = [
        f'<li>{escape(advice)}<span class="why">{escape("; ".join(map(_finding, rows)))}.</span>'
        "</li>"
        for advice, rows in list_to_do(report).items()
    ]
    return f"<ul>{''.join(items)}</ul>" if items else "<p>Nothing.</p>"


def _finding(row):
    against = {"features": "images"}.get(row["against"], row["against"])
    measure = row["measure"].replace("_", " ")
    number = Reader.number(row)
    return f"{row['variable']} and {against}, {measure}: {row['severity']}, {number}"


def _pictures(report):
    from ._report_plot import draw_picture, list_pictures  # matplotlib only where it is needed

    for name in list_pictures(report):
        title, caption, alt = describe_picture(report, name)
        light, dark = (_encoded(draw_picture(report, name, dark=dark)) for dark in (False, True))
        yield (
            "<figure><figcaption>"
            f"<b>{escape(title)}</b> {escape(caption)}</figcaption><picture>"
            f'<source media="screen and (prefers-color-scheme: dark)" srcset="{dark}">'
            f'<img alt="{escape(alt)}" src="{light}"></picture></figure>'
        )


def _encoded(figure):
    held = BytesIO()
    figure.savefig(held, format="png", dpi=180)
    return f"data:image/png;base64,{base64.b64encode(held.getvalue()).decode('ascii')}"


def _tables(report):
    """Return a closed table for each question that was asked."""
    table = report.table_
    later = [against for group in GROUPS.values() if group for against in group]
    heads = "".join(
        f'<th scope="col"{_class(name)}>{escape(head)}</th>' for name, head, _ in COLUMNS
    )
    for title, group in GROUPS.items():
        rows = table[table.against.isin(group) if group else ~table.against.isin(later)]
        if rows.empty:
            continue
        body = "\n".join(_line(row) for row in rows.to_dict("records"))
        yield (
            f"<details><summary><h3>{escape(title)}</h3> ({len(rows)} rows)</summary>\n"
            f'<div class="table" role="region" aria-label="{escape(title)}" tabindex="0">'
            f'<table class="rows"><thead><tr>{heads}</tr></thead>\n{body}\n</table></div></details>'
        )


def _line(row):
    """Return one effect: its numbers, and below them what to do and why."""
    low, high = row["ci_low"], row["ci_high"]
    shown = row | {
        "interval": f"{low:z.2f} to {high:z.2f}" if np.isfinite(low) else "-",
        "p_adj": _number(row["p_adj"], digits=3),
        "status": row["status"].replace("_", " "),
        **{name: _number(row[name]) for name in ("value", "null_mean", "value_adj")},
    }
    cells = "".join(
        f"<td>{_severity(row[name])}</td>"
        if name == "severity"
        else f"<td{_class(name)}>{escape(str(shown[name]))}</td>"
        for name, *_ in COLUMNS
    )
    words = f'{escape(row["advice"])} <span class="why">{escape(row["reason"])}</span>'
    below = f'<td colspan="{len(COLUMNS)}"><div>{words}</div></td>'
    return f'<tbody><tr>{cells}</tr><tr class="words">{below}</tr></tbody>'


def _columns():
    """Explain the columns."""
    terms = "".join(f"<dt>{escape(head)}</dt><dd>{escape(what)}</dd>" for _, head, what in COLUMNS)
    return f"<details><summary><h3>What the columns say</h3></summary><dl>{terms}</dl></details>"


def _class(name):
    return ' class="number"' if name in NUMBERS else ""


def _number(value, digits=2):
    return f"{value:z.{digits}f}" if np.isfinite(value) else "-"


def _severity(value):
    known = isinstance(value, str)
    return f'<span class="{value}">{value}</span>' if known else "<span>-</span>"
