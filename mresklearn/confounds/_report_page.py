"""The page of a report without its content: structure and style, for screens and paper."""

from string import Template

__all__ = ["PAGE"]

STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1f2430; --faint: #5b6475;
  --line: #dfe3ea; --band: #f5f7fa; --small: #1f5f8f; --medium: #9a4d00; --large: #b3261e; }
@media screen and (prefers-color-scheme: dark) { :root { --paper: #16181d; --ink: #e6e9f0;
  --faint: #a3acbd; --line: #323845; --band: #1d2027; --small: #7cc4f0; --medium: #f0a94a;
  --large: #ff8a80; } }
@media print { :root { color-scheme: light; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem; max-width: 78rem; background: var(--paper);
  color: var(--ink); font: 15px/1.55 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; margin: 0 0 1rem; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; }
h3 { font-size: 1rem; margin: 0; display: inline; }
p, ul { max-width: 52rem; }
ul { padding-left: 1.25rem; }
li { margin: .4rem 0; }
.why { color: var(--faint); }
li .why { display: block; font-size: 13px; }
.note, footer { color: var(--faint); font-size: 13px; }
.small { color: var(--small); }
.medium { color: var(--medium); font-weight: 600; }
.large { color: var(--large); font-weight: 700; }
.pictures { columns: 3 21rem; column-gap: 2rem; }
figure { break-inside: avoid; margin: 0 0 1.75rem; }
figure img { display: block; width: 100%; height: auto; }
figcaption { font-size: 13px; color: var(--faint); max-width: 30rem; }
figcaption b { display: block; color: var(--ink); font-size: 14px; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; width: 100%; }
th, td { padding: .3rem .5rem; text-align: left; vertical-align: top; }
th { color: var(--faint); font-weight: 600; white-space: nowrap; }
th.number, td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
thead, .verdicts tr, .rows tbody { border-bottom: 1px solid var(--line); }
.rows tbody:nth-of-type(even) { background: var(--band); }
.rows { min-width: 62rem; }
.rows .words td { padding-top: 0; }
.rows .words div { position: sticky; left: .5rem; max-width: min(72rem, calc(100vw - 3rem)); }
details { border-top: 1px solid var(--line); padding: .6rem 0; }
summary { cursor: pointer; }
dt { font-weight: 600; }
dd { margin: 0 0 .4rem; max-width: 52rem; }
@media (max-width: 44rem) {
  body { padding: 1.25rem 1rem; }
  .verdicts thead { display: none; }
  .verdicts tr { display: block; padding: .5rem 0; }
  .verdicts td { display: flex; gap: .75rem; padding: .1rem 0; }
  .verdicts td::before { content: attr(data-name); color: var(--faint); flex: 0 0 5.5rem; }
}
@page { size: A4; margin: 14mm; }
@page wide { size: A4 landscape; margin: 12mm; }
@media print {
  body { padding: 0; font-size: 10pt; }
  h2 { break-after: avoid; }
  .pictures { columns: 2; }
  .table { overflow: visible; }
  table { font-size: 8pt; }
  .rows { min-width: 0; }
  .rows .words div { max-width: none; }
  .rows tbody { break-inside: avoid; }
  .all { page: wide; }
  details:not([open]), .all:not(:has(details[open])) { display: none; }
}
"""

PAGE = Template(f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Confound report</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>Confound report</h1>
<p>$study</p>
<section>
<h2>Verdicts</h2>
<div class="table">$verdicts</div>
</section>
<section>
<h2>What to do</h2>
$to_do
</section>
<section>
<h2>Reading</h2>
$reading
</section>
<section>
<h2>Pictures</h2>
<div class="pictures">
$pictures
</div>
</section>
<section class="all">
<h2>All $n_rows rows</h2>
<p class="note">Open a table to read it, or to have it printed. The same rows, with all columns,
are what <code>to_frame()</code> returns.</p>
$tables
$columns
</section>
</main>
<footer><p>Intervals ($confidence %) are of the corrected value. p is adjusted for all rows by
Benjamini and Hochberg. Severity follows from the size of an effect, never from p.
$permutations permutations. Made by mresklearn $version.</p></footer>
</body>
</html>
""")
