"""The report as one page: prose, pictures and table, with nothing loaded from elsewhere."""

import base64
from html import escape
from io import BytesIO
from pathlib import Path
from string import Template

import numpy as np

__all__ = ["render_page"]

GROUPS = {
    "Design: metadata and overlap": ("metadata",),
    "Images": ("features",),
    "Embedding": ("embedding",),
    "Prediction and gap": ("prediction", "gap"),
}
COLUMNS = {
    "variable": "variable",
    "against": "against",
    "conditioning": "held fixed",
    "measure": "measure",
    "n": "people",
    "value": "value",
    "null_mean": "by chance",
    "value_adj": "corrected",
    "interval": "interval",
    "p_adj": "p (FDR)",
    "status": "status",
    "severity": "severity",
    "advice": "what to do, and why",
}
PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Confound report</title>
<style>
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1f2430; --faint: #667085;
  --line: #dfe3ea; --band: #f5f7fa; --small: #2f6f9f; --medium: #b35c00; --large: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181d; --ink: #e6e9f0; --faint: #98a1b3;
  --line: #323845; --band: #1d2027; --small: #7cc4f0; --medium: #f0a94a; --large: #ff8a80; } }
body { margin: 0 auto; padding: 2rem 1.25rem; max-width: 76rem; background: var(--paper);
  color: var(--ink); font: 15px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 1rem; } h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; }
p, ul { max-width: 52rem; } img { width: 100%; height: auto; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-size: 12.5px; width: 100%; }
th, td { padding: .3rem .5rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { color: var(--faint); font-weight: 600; white-space: nowrap; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tbody tr:nth-child(even) { background: var(--band); }
.small { color: var(--small); } .medium { color: var(--medium); font-weight: 600; }
.large { color: var(--large); font-weight: 700; }
.why { color: var(--faint); } footer, .note { color: var(--faint); font-size: 12.5px; }
</style>
</head>
<body>
<h1>Confound report</h1>
$summary
<h2>Pictures</h2>
<picture>
<source media="(prefers-color-scheme: dark)" srcset="data:image/png;base64,$dark">
<img alt="$alt" src="data:image/png;base64,$light">
</picture>
<h2>Verdicts</h2>
<div class="table">$verdicts</div>
$tables
<footer><p>Intervals ($confidence %) are of the corrected value. p is adjusted for all rows by
Benjamini and Hochberg. Severity follows from the size of an effect, never from p.
$permutations permutations. Made by mresklearn $version.</p></footer>
</body>
</html>
""")
ALT = (
    "Four pictures: association of metadata; target by site; what moves the images and how well "
    "the site is read from them; shift within reach of other sites and errors by site."
)


def render_page(report, path):
    """Write the page of a fitted report; see :meth:`ConfoundReport.to_html`."""
    from .. import __version__

    page = PAGE.substitute(
        summary=_prose(report.summary()),
        light=_picture(report, dark=False),
        dark=_picture(report, dark=True),
        alt=escape(ALT),
        verdicts=_verdicts(report),
        tables="\n".join(_tables(report)),
        confidence=f"{100 * report.confidence:g}",
        permutations=report.n_permutations,
        version=escape(__version__),
    )
    path = Path(path)
    path.write_text(page, encoding="utf-8")
    return path


def _prose(text):
    """Turn paragraphs and their dashes into HTML."""
    parts = []
    for paragraph in text.split("\n\n"):
        head, *items = paragraph.split("\n- ")
        parts.append(f"<p>{escape(head)}</p>")
        if items:
            parts.append("<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>")
    return "\n".join(parts)


def _picture(report, *, dark):
    held = BytesIO()
    report.plot(dark=dark).savefig(held, format="png", dpi=150)
    return base64.b64encode(held.getvalue()).decode("ascii")


def _verdicts(report):
    head = ("variable", "role", "goes with", "design", "images", "gap", "verdict", "why")
    lines = []
    for name, row in report.verdicts_.iterrows():
        cells = [
            _cell(name),
            _cell(row.role),
            _cell(", ".join(row.goes_with) or "-"),
            *(_severity(row[column]) for column in ("entangled", "moves_images", "in_gap")),
            f"<td><b>{escape(row.verdict)}</b></td>",
            _cell(row.reason),
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return _table(head, lines)


def _tables(report):
    """Return a heading and a table for each question that was asked."""
    table = report.table_
    later = [against for group in GROUPS.values() for against in group]
    for title, group in GROUPS.items():
        rows = table[~table.against.isin(later) if "metadata" in group else
                     table.against.isin(group)]  # fmt: skip
        if len(rows):
            lines = [_line(row) for row in rows.to_dict("records")]
            body = _table(tuple(COLUMNS.values()), lines)
            yield f'<h2>{escape(title)}</h2>\n<div class="table">{body}</div>'


def _line(row):
    interval = f"{row['ci_low']:.2f} to {row['ci_high']:.2f}" if np.isfinite(row["ci_low"]) else "-"
    cells = [
        *(_cell(row[column]) for column in ("variable", "against", "conditioning", "measure")),
        f'<td class="number">{row["n"]}</td>',
        *(_number(row[column]) for column in ("value", "null_mean", "value_adj")),
        f'<td class="number">{interval}</td>',
        _number(row["p_adj"], digits=3),
        _cell(row["status"].replace("_", " ")),
        _severity(row["severity"]),
        f'<td>{escape(row["advice"])} <span class="why">{escape(row["reason"])}</span></td>',
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _table(head, lines):
    heads = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "\n".join(lines)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _cell(text):
    return f"<td>{escape(str(text))}</td>"


def _number(value, digits=2):
    text = f"{value:.{digits}f}" if np.isfinite(value) else "-"
    return f'<td class="number">{text}</td>'


def _severity(value):
    known = isinstance(value, str)
    return f'<td class="{value if known else ""}">{value if known else "-"}</td>'
