"""Charts as inline SVG: coloured by the page's own style, so that they follow its theme."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from xml.etree import ElementTree

import numpy as np
from markupsafe import Markup

__all__ = ["SHAPES", "Chart", "marker", "nice_ticks", "text_width"]

TEXT = 13  # height of letters
WIDTHS = {"MW@%": 0.95, "ijlI.,:;'| ()-": 0.4}  # of a letter, in heights; fonts differ by a little
SHAPES = {
    "square": "M{0} {1}h{2}v{2}h-{2}z",
    "triangle": "M{0} {3}h{2}l-{4} -{2}z",
    "diamond": "M{5} {1}l{4} {4}l-{4} {4}l-{4} -{4}z",
}


class Chart:
    """A frame with two scales, in which marks are drawn at data coordinates.

    Parameters
    ----------
    x, y : (float, float)
        Ends of the scales; `y` grows upwards.
    width, height : float
        Size in units of the page's pixels at a scale of 1, in which text is 13 high.
    left, right, top, bottom : float
        Room around the frame.
    """

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        width: float = 440,
        height: float = 300,
        left: float = 40,
        right: float = 12,
        top: float = 30,
        bottom: float = 44,
    ) -> None:
        self.width, self.height = width, height
        self.x_ends, self.y_ends = x, y
        self.frame = (left, width - right, top, height - bottom)
        self.root = ElementTree.Element(
            "svg", {"viewBox": f"0 0 {_short(width)} {_short(height)}", "role": "img"}
        )

    def at_x(self, value: float) -> float:
        """Return where a value lies, from the left."""
        low, high = self.x_ends
        return self.frame[0] + (value - low) / (high - low) * (self.frame[1] - self.frame[0])

    def at_y(self, value: float) -> float:
        """Return where a value lies, from the top."""
        low, high = self.y_ends
        return self.frame[3] - (value - low) / (high - low) * (self.frame[3] - self.frame[2])

    def axes(
        self,
        x_label: str = "",
        y_label: str = "",
        *,
        x_ticks: Sequence[float] | None = None,
        y_ticks: Sequence[float] | None = None,
        x_text: Callable[[float], str] = "{:g}".format,
        y_text: Callable[[float], str] = "{:g}".format,
    ) -> None:
        """Draw quiet grid lines with numbers; the label of y stands above, where it can be read."""
        left, right, top, bottom = self.frame
        for value in nice_ticks(*self.x_ends) if x_ticks is None else x_ticks:
            self._line(self.at_x(value), top, self.at_x(value), bottom, "grid")
            self._text(self.at_x(value), bottom + 17, x_text(value), "tick", "middle")
        for value in nice_ticks(*self.y_ends) if y_ticks is None else y_ticks:
            self._line(left, self.at_y(value), right, self.at_y(value), "grid")
            self._text(left - 7, self.at_y(value) + 4, y_text(value), "tick", "end")
        self._text((left + right) / 2, bottom + 37, x_label, "label", "middle")
        self._text(4, 15, y_label, "label", "start")

    def box(self) -> None:
        """Draw the frame."""
        left, right, top, bottom = self.frame
        size = {"x": left, "y": top, "width": right - left, "height": bottom - top}
        self._add("rect", {**{name: _short(value) for name, value in size.items()}, "class": "box"})

    def dots(
        self,
        xs: Iterable[float],
        ys: Iterable[float],
        classes: str | Sequence[str],
        *,
        shapes: str | Sequence[str] = "circle",
        size: float = 3.2,
    ) -> None:
        """Draw a mark for each pair."""
        xs, ys = list(xs), list(ys)
        classes = [classes] * len(xs) if isinstance(classes, str) else classes
        shapes = [shapes] * len(xs) if isinstance(shapes, str) else shapes
        for x, y, name, shape in zip(xs, ys, classes, shapes, strict=True):
            self._mark(self.at_x(x), self.at_y(y), name, shape, size)

    def line(self, xs: Iterable[float], ys: Iterable[float], name: str) -> None:
        """Draw a line through points."""
        self._add("polyline", {"points": self._points(xs, ys), "class": name})

    def area(
        self, xs: Iterable[float], low: Iterable[float], high: Iterable[float], name: str
    ) -> None:
        """Fill what lies between two lines."""
        xs = list(xs)
        around = [*self._pairs(xs, low), *reversed(self._pairs(xs, high))]
        points = " ".join(f"{_short(x)},{_short(y)}" for x, y in around)
        self._add("polygon", {"points": points, "class": name})

    def text(
        self,
        x: float,
        y: float,
        words: str,
        name: str = "label",
        anchor: str = "start",
        shift: tuple[float, float] = (0, 0),
    ) -> None:
        """Write words at data coordinates, moved by some pixels, and kept inside the chart."""
        extent = text_width(words)
        before = extent * {"start": 0, "middle": 0.5, "end": 1}[anchor]
        place = max(before + 2, min(self.width - extent + before - 2, self.at_x(x) + shift[0]))
        self._text(place, self.at_y(y) + shift[1], words, name, anchor)

    def to_markup(self, alt: str) -> Markup:
        """Return the chart with the message that stands for it where it cannot be seen."""
        self.root.set("aria-label", alt)
        # ElementTree has escaped every text and attribute
        return Markup(ElementTree.tostring(self.root, encoding="unicode"))

    def _pairs(self, xs: Iterable[float], ys: Iterable[float]) -> list[tuple[float, float]]:
        return [(self.at_x(x), self.at_y(y)) for x, y in zip(xs, ys, strict=True)]

    def _points(self, xs: Iterable[float], ys: Iterable[float]) -> str:
        return " ".join(f"{_short(x)},{_short(y)}" for x, y in self._pairs(xs, ys))

    def _mark(self, x: float, y: float, name: str, shape: str, size: float) -> None:
        if shape == "circle":
            place = {"cx": _short(x), "cy": _short(y), "r": _short(size)}
            self._add("circle", {**place, "class": name})
            return
        edge = 2 * size * 0.92
        numbers = map(_short, (x - edge / 2, y - edge / 2, edge, y + edge / 2, edge / 2, x))
        self._add("path", {"d": SHAPES[shape].format(*numbers), "class": name})

    def _line(self, x1: float, y1: float, x2: float, y2: float, name: str) -> None:
        ends = zip(("x1", "y1", "x2", "y2"), map(_short, (x1, y1, x2, y2)), strict=True)
        self._add("line", {**dict(ends), "class": name})

    def _text(self, x: float, y: float, words: str, name: str, anchor: str) -> None:
        if words:
            place = {"x": _short(x), "y": _short(y), "text-anchor": anchor, "class": name}
            self._add("text", place).text = words

    def _add(self, tag: str, attributes: dict[str, str]) -> ElementTree.Element:
        return ElementTree.SubElement(self.root, tag, attributes)


def text_width(words: str) -> float:
    """Estimate how wide words are drawn, as no font is at hand."""
    known = {letter: width for letters, width in WIDTHS.items() for letter in letters}
    return TEXT * sum(known.get(c, 0.74 if c.isupper() else 0.6) for c in words)


def marker(name: str, shape: str = "circle") -> Markup:
    """Return one mark for a key, which says nothing by itself."""
    chart = Chart((0, 1), (0, 1), width=14, height=14, left=0, right=0, top=0, bottom=0)
    chart.dots([0.5], [0.5], name, shapes=shape, size=5)
    del chart.root.attrib["role"]
    chart.root.set("aria-hidden", "true")
    return Markup(ElementTree.tostring(chart.root, encoding="unicode"))


def nice_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """List round numbers between two ends, at most so many."""
    rough = (high - low) / most
    base = 10.0 ** np.floor(np.log10(rough))
    step = next(base * factor for factor in (1, 2, 5, 10) if base * factor >= rough * 0.999)
    first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    return [float(f"{tick * step:.10g}") + 0.0 for tick in np.arange(first, last + 1)]


def _short(value: float) -> str:
    """Write a coordinate to a tenth of a pixel."""
    return f"{value:z.1f}".removesuffix(".0")
