"""The look of all figures, and their files: a picture, with its record and its numbers beside it."""

from __future__ import annotations

import json
import sys
import textwrap
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from itertools import pairwise
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib import patheffects
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from quantilizers.errors import UserError
from quantilizers.files import atomic_write
from quantilizers.gates.json_files import parse_json, read_json
from quantilizers.recipe import Recipe
from quantilizers.rewards import FloatArray
from quantilizers.versions import versions

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")

#: Colours of Okabe and Ito (2008), which the colour-blind tell apart; they also differ in grey.
TRUE_COLOUR, PROXY_COLOUR, DEMONSTRATION_COLOUR = "#0072B2", "#E69F00", "#000000"
#: The same, dark enough to read as text on white.
TEXT_COLOURS = {TRUE_COLOUR: "#005A8E", PROXY_COLOUR: "#8A5A00"}
DOTS_PER_INCH = 200
#: Points between a label and the nearest line.
_CLEARANCE = 1.5
#: Inches beside titles and legends.
_MARGIN = 0.08
_SETTINGS: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "0.92",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "svg.hashsalt": "quantilizers",
    # Names from files may have dollar signs.
    "text.parse_math": False,
    "text.usetex": False,
}


#: Settings that choose how windows and sessions work, which drawing leaves alone.
_OF_SESSIONS = ("backend", "interactive", "toolbar", "webagg.", "tk.", "macosx.", "savefig.directory", "date.epoch")


def _house_settings() -> dict[Any, Any]:
    """Return this project's settings on top of matplotlib's defaults; a user's `matplotlibrc` is ignored."""
    defaults = {name: value for name, value in dict.items(mpl.rcParamsDefault) if not name.startswith(_OF_SESSIONS)}
    return {**defaults, **_SETTINGS}


def in_house_style(draw: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
    """Decorate a drawing function to run under this project's matplotlib settings."""

    @wraps(draw)
    def drawing(*arguments: Parameters.args, **named: Parameters.kwargs) -> Returned:
        with mpl.rc_context(_house_settings()), warnings.catch_warnings():
            # Names may have letters and pictures that the font lacks; it draws a box for each.
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            return draw(*arguments, **named)

    return drawing


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, sized in inches, that needs no screen."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def quantile_name(quantile: float, between: str = "\n") -> str:
    """Return the name of a quantile's policies below bars and above panels."""
    return f"imitation{between}q = 1" if quantile == 1 else f"q = {quantile:g}"


def grid_of_panels(rows: int, columns: int, width: float, height: float, **shared: Any) -> tuple[Figure, Any]:
    """Return a figure and its panels (rows, columns); a single column is laid out as a row."""
    turned = columns == 1
    across, down = (rows, 1) if turned else (columns, rows)
    figure = new_figure(max(5.2, 0.8 + width * across), 1.1 + height * down)
    panels = figure.subplots(down, across, squeeze=False, **shared)
    return figure, panels.T if turned else panels


def write_title(figure: Figure, text: str, size: float = 10.0) -> None:
    """Write the figure's title, with lines broken where they would be wider than the figure."""
    title = figure.suptitle("", fontsize=size)
    room, lines = figure.bbox.width - 2 * _MARGIN * figure.dpi, list[str]()
    for line in text.splitlines():
        title.set_text(line)
        letters, parts = len(line), [line]
        while letters > 8 and title.get_window_extent().width > room:
            letters = min(letters - 1, int(letters * room / title.get_window_extent().width))
            parts = textwrap.wrap(line, letters, break_on_hyphens=False)
            title.set_text("\n".join(parts))
        lines += parts
    title.set_text("\n".join(lines))


def lines_of_label(label: str, letters: int = 30) -> str:
    r"""Return the label of an upright axis in short lines, with the unit in brackets on a line of its own.

    >>> lines_of_label("true return (−1 a step)")
    'true return\n(−1 a step)'
    """
    parts = label.replace(" (", "\n(", 1).splitlines()
    return "\n".join(line for part in parts for line in textwrap.wrap(part, letters))


def write_legend(figure: Figure, handles: Sequence[Artist], columns: int) -> None:
    """Draw a legend below all panels, in as many of the columns as the figure is wide enough for."""
    room = figure.bbox.width - 2 * _MARGIN * figure.dpi
    for number in range(min(columns, len(handles)), 0, -1):
        legend = figure.legend(handles=list(handles), loc="outside lower center", ncols=number)
        if number == 1 or legend.get_window_extent().width <= room:
            return
        legend.remove()


def space_tick_labels(figure: Figure, axes: Axes) -> None:
    """Leave out labels of the x axis that would touch the one before them; the last label stays."""
    figure.draw_without_rendering()
    ticks = [(place, label.get_text()) for place, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)]
    extents = [label.get_window_extent().padded(_CLEARANCE * figure.dpi / 72) for label in axes.get_xticklabels()]
    shown = {len(ticks) - 1}
    last = -1
    for place, extent in enumerate(extents[:-1]):
        if (last < 0 or not extent.overlaps(extents[last])) and not extent.overlaps(extents[-1]):
            shown.add(place)
            last = place
    axes.set_xticks([where for where, _ in ticks], [text if i in shown else "" for i, (_, text) in enumerate(ticks)])


def write_labels(figure: Figure, axes: Axes, wanted: Sequence[tuple[float, float, str, str]]) -> None:
    """Write each label near its point, clear of lines, error bars and other labels; a line joins it to its point.

    A label is the coordinates of its point, a text and a colour; the most important come first. Where nothing near is
    free, it covers as little as possible. A label that would stand nearer to another's point, or on another label, is
    left out.
    """
    figure.draw_without_rendering()
    ink, frame, written = _ink(axes), axes.get_window_extent(), list[Bbox]()
    points = axes.transData.transform([place for *place, _, _ in wanted] or np.empty((0, 2)))
    sides = np.array([(x / 2, y / 2) for x in range(-2, 3) for y in range(-2, 3) if max(abs(x), abs(y)) == 2])
    pixels = figure.dpi / 72
    for place, ((x, y, text, colour), point) in enumerate(zip(wanted, points, strict=True)):
        note = axes.annotate(
            text, (x, y), xytext=(0, 0), textcoords="offset points", fontsize=7.5, color=colour, ha="center",
            va="center", zorder=6, path_effects=[patheffects.withStroke(linewidth=2.0, foreground="white")],
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 2},
        )  # fmt: skip
        note.set_in_layout(False)
        size = np.array(Text.get_window_extent(note).size)  # without the line
        best = (np.inf, np.zeros(2), Bbox.null(), False)
        for distance in (7, 13, 20, 28, 38, 50):
            for side in sides:
                offset = side * (distance * pixels + size / 2)
                extent = Bbox([point + offset - size / 2, point + offset + size / 2])
                around = extent.padded(_CLEARANCE * pixels)
                touched = ((ink > around.min) & (ink < around.max)).all(axis=1).sum()
                covered = 1000 * (touched > 0) + 30 * touched
                covered += 4 * sum(_overlap(extent.padded(4), other) for other in written)
                clear = not any(extent.padded(1).overlaps(other) for other in written)
                outside = size.prod() - _overlap(extent, frame)
                covered += outside + 1000 * (outside > 1)
                # A label that stands nearer to another's point is read as the other's.
                away = np.hypot(*(points - np.clip(points, extent.min, extent.max)).T)
                nearer = (away < away[place] - 0.5).sum()
                clear &= nearer == 0
                cost = float(covered + 150 * nearer + 1e6 * (not clear) + 12 * distance * np.hypot(*side))
                if cost < best[0]:
                    best = (cost, offset / pixels, extent, bool(clear))
        if not best[3]:
            note.remove()
            continue
        across, up = best[1].tolist()
        note.set_position((across, up))
        written.append(best[2])


def _ink(axes: Axes) -> FloatArray:
    """Return points (n, 2) in pixels, every few pixels along what a panel shows of its lines and error bars."""
    frame = axes.get_window_extent()
    corners_of_frame = np.array([frame.min, frame.max])
    # A line across the panel has coordinates of the panel.
    paths: list[tuple[Any, Any, bool]] = [
        (line.get_transform(), line.get_xydata(), line.get_linestyle() != "None") for line in axes.lines
    ]
    bars = [collection for collection in axes.collections if isinstance(collection, LineCollection)]
    paths += [(axes.transData, segment, True) for collection in bars for segment in collection.get_segments()]
    points = [np.empty((0, 2))]
    for transform, data, joined in paths:
        corners = transform.transform(np.asarray(data, dtype=np.float64).reshape(-1, 2))
        corners = corners[np.isfinite(corners).all(axis=1)]
        points.append(corners)
        for start, end in pairwise(corners) if joined else ():
            # The part of the line inside the frame (Liang & Barsky 1984): an interval may be of any length.
            with np.errstate(divide="ignore", invalid="ignore"):
                crossings = np.sort((corners_of_frame - start) / (end - start), axis=0)
            first, last = np.fmax.reduce([0.0, *crossings[0]]), np.fmin.reduce([1.0, *crossings[1]])
            if first <= last:
                start, end = start + first * (end - start), start + last * (end - start)
                points.append(np.linspace(start, end, 2 + int(np.hypot(*(end - start)) / 4)))
    return np.concatenate(points)


def _overlap(one: Bbox, other: Bbox) -> float:
    shared = Bbox.intersection(one, other)
    return 0.0 if shared is None else float(shared.width * shared.height)


@in_house_style
def save_figure(figure: Figure, path: Path, record: Mapping[str, Any], numbers: Mapping[str, Any]) -> None:
    """Write a figure, and beside it a `.json` with its record, library versions (the record's, if any) and numbers.

    If a figure of other settings, quantiles or seeds is replaced, a line says so.
    """
    replaced = _difference_from(path, record, numbers)
    whole = {**record, "versions": record.get("versions") or versions(), "numbers": numbers}
    text = json.dumps(whole, indent=1, default=_plain) + "\n"
    with atomic_write(path) as temporary:
        # Without the date, the same figure is the same file.
        dated = {".svg": "Date", ".pdf": "CreationDate"}.get(path.suffix)
        figure.savefig(temporary, dpi=DOTS_PER_INCH, metadata={dated: None} if dated else None)
    with atomic_write(path.with_suffix(".json")) as temporary:
        temporary.write_text(text, encoding="utf-8")
    if replaced:
        print(f"replaced {path}, which was drawn {replaced}", file=sys.stderr)


def _difference_from(path: Path, record: Mapping[str, Any], numbers: Mapping[str, Any]) -> str:
    """Describe how the figure at a path differs from the one that replaces it; empty if it does not, or is unknown."""
    try:
        found = read_json(path.with_suffix(".json"))
        drawn, wanted = _recipe(found, found["numbers"]), _recipe(record, numbers)
    except (UserError, ValueError, LookupError, TypeError, AttributeError):
        return ""
    return drawn.difference(wanted, set(drawn.entries) & set(wanted.entries))


def _recipe(record: Mapping[str, Any], numbers: Mapping[str, Any]) -> Recipe:
    """Return the settings that a figure's record and numbers contain."""
    entries = {name: numbers[name] for name in ("quantiles", "seeds") if name in numbers}
    entries |= {name: record[name] for name in ("data_sha256",) if name in record} | dict(record.get("settings", {}))
    other = {"data_sha256": "of other demonstrations", "definition": "for another definition of the environment"}
    return Recipe(parse_json(json.dumps(entries, default=_plain)), other)


def _plain(value: Any) -> Any:
    """Convert NumPy's arrays and numbers for JSON."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
