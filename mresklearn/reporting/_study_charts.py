"""The charts of a study: ages by site, predictions, errors by site, and embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from markupsafe import Markup

from ._embedding import Embedding
from ._numbers import as_percent
from ._svg import SHAPES, Chart, text_width

__all__ = [
    "age_bands", "draw_ages", "draw_embedding", "draw_predictions", "draw_site_errors",
    "hardest_protocol", "site_keys",
]  # fmt: skip

HUES = 6
MARKS = ("circle", *SHAPES)
REST = ("control", "circle")
ROW = 26  # height of a site
WIDEST_NAME = 125  # the table has the whole name
MOST_SITES = 30
BANDS = 5


def site_keys(sites: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Give each site a colour and a shape, which together tell up to 24 sites apart."""
    n_shapes = len(MARKS)
    return {
        name: (f"hue-{k % HUES}", MARKS[(k + k // 12) % n_shapes]) if k < 24 else REST
        for k, name in enumerate(sites)
    }


def draw_ages(age: np.ndarray, site: np.ndarray, names: Sequence[str], alt: str) -> Markup:
    """Draw the age of everybody, a row a site, with the median."""
    shown = list(names)[:MOST_SITES]
    low, high = float(age.min()), float(age.max())
    room = 0.04 * max(high - low, 1.0)
    chart = _rows((low - room, high + room), shown, "age (years)")
    jitter = np.random.default_rng(0).uniform(-0.28, 0.28, len(age))
    for row, name in enumerate(shown):
        here = site == name
        chart.dots(age[here], row + jitter[here], "main", size=2.2)
        if here.any():
            middle = float(np.median(age[here]))
            chart.line((middle, middle), (row - 0.38, row + 0.38), "middle")
    return chart.to_markup(alt)


def draw_predictions(lines: pd.DataFrame, keys: dict[str, tuple[str, str]], alt: str) -> Markup:
    """Draw predicted against true age, with the line of no error."""
    both = np.concatenate([lines.y, lines.prediction])
    room = 0.05 * max(np.ptp(both), 1.0)
    ends = float(both.min() - room), float(both.max() + room)
    chart = Chart(ends, ends, height=400)
    chart.axes("chronological age (years)", "predicted age (years)")
    chart.line(ends, ends, "same")
    lines = lines.sample(frac=1, random_state=0)  # no site lies on top of all others
    classes, shapes = _marks(lines.site, keys)
    chart.dots(lines.y, lines.prediction, classes, shapes=shapes)
    chart.text(ends[1], ends[1], "no error", "label", "end", (-26, 14))
    return chart.to_markup(alt)


def draw_site_errors(table: pd.DataFrame, alt: str) -> Markup:
    """Draw the mean absolute error of each site with its interval, where it is known and left out.

    Parameters
    ----------
    table : DataFrame
        As made by site_error_table.
    alt : str
        The message.
    """
    main = hardest_protocol(table.index.get_level_values("protocol"))
    steps = [(main, "solid")]
    if main != "within_site" and "within_site" in table.index.get_level_values("protocol"):
        steps.append(("within_site", "hollow"))
    shifts = (-0.17, 0.17) if len(steps) > 1 else (0.0,)
    shown = list(table.xs(main).mae.sort_values().index)[-MOST_SITES:]
    high = float(np.nanmax(table[["mae", "mae_high"]].to_numpy(float)))
    chart = _rows((0.0, 1.06 * high), shown, "mean absolute error (years)")
    for (protocol, name), shift in zip(steps, shifts, strict=True):
        found = table.xs(protocol).reindex(shown)
        for place, row in enumerate(found.itertuples()):
            if np.isfinite(row.mae_low):
                chart.line((row.mae_low, row.mae_high), [place + shift] * 2, "whisker")
        known = np.flatnonzero(found.mae.notna())
        chart.dots(found.mae.iloc[known], known + shift, name, size=4)
    return chart.to_markup(alt)


def hardest_protocol(protocols: Iterable[str]) -> str:
    """Return the protocol that says most of a new site."""
    names = list(dict.fromkeys(protocols))
    return "leave_one_site_out" if "leave_one_site_out" in names else names[0]


def age_bands(age: np.ndarray) -> list[tuple[float, float]]:
    """Cut the range of ages in bands of whole years, equally wide."""
    ends = np.unique(np.round(np.linspace(np.floor(age.min()), np.ceil(age.max()), BANDS + 1)))
    return list(pairwise(ends.tolist()))


def draw_embedding(
    embedding: Embedding, classes: Sequence[str], shapes: Sequence[str], alt: str
) -> Markup:
    """Draw people on two axes, in the colours given."""
    places = embedding.places
    low, high = places.min(axis=0), places.max(axis=0)
    room = 0.05 * np.maximum(high - low, 1e-9)
    ends = np.column_stack([low - room, high + room])
    chart = Chart(
        tuple(ends[0]), tuple(ends[1]), width=400, height=320,
        left=10, right=10, top=26, bottom=30,
    )  # fmt: skip
    first, second = (as_percent(share) for share in embedding.shares)
    chart.axes(y_label=f"axis 2 ({second} of the variance)", x_ticks=[], y_ticks=[])
    chart.text(ends[0, 1], ends[1, 0], f"axis 1 ({first} of the variance)", "label", "end", (0, 20))
    chart.box()
    order = np.random.default_rng(0).permutation(len(places))
    chart.dots(
        places[order, 0],
        places[order, 1],
        [f"{classes[row]} dot" for row in order],
        shapes=[shapes[row] for row in order],
        size=3.4,
    )
    return chart.to_markup(alt)


def _rows(x: tuple[float, float], names: Sequence[str], label: str) -> Chart:
    """Make a chart with a row a name, the first at the bottom."""
    texts = [_cut(name) for name in names]
    chart = Chart(
        x, (-0.6, len(names) - 0.4), height=ROW * len(names) + 62,
        left=12 + max(map(text_width, texts)), top=8, bottom=48,
    )  # fmt: skip
    chart.axes(label, y_ticks=range(len(names)), y_text=lambda row: texts[int(row)])
    return chart


def _cut(name: str) -> str:
    """Shorten a name that leaves no room for the chart."""
    if text_width(name) <= WIDEST_NAME:
        return name
    while name and text_width(f"{name}…") > WIDEST_NAME:
        name = name[:-1]
    return f"{name}…"


def _marks(sites: pd.Series, keys: dict[str, tuple[str, str]]) -> tuple[list[str], list[str]]:
    found = [keys.get(name, REST) for name in sites]
    return [f"{hue} dot" for hue, _ in found], [shape for _, shape in found]
