"""The look of all figures, and their files: a picture, with its record and its numbers beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from quantilizers.files import atomic_write
from quantilizers.versions import versions

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")

#: Colours of Okabe and Ito (2008), which the colour-blind tell apart; they also differ in grey.
TRUE_COLOUR, PROXY_COLOUR, DEMONSTRATION_COLOUR = "#0072B2", "#E69F00", "#000000"
#: The same, dark enough to read as text on white.
TEXT_COLOURS = {TRUE_COLOUR: "#005A8E", PROXY_COLOUR: "#8A5A00"}
DOTS_PER_INCH = 200
_SETTINGS: dict[Any, Any] = {"font.size": 10, "axes.spines.top": False, "svg.hashsalt": "quantilizers"}


def in_house_style(draw: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
    """Decorate a drawing function to run under this project's matplotlib settings."""

    @wraps(draw)
    def drawing(*arguments: Parameters.args, **named: Parameters.kwargs) -> Returned:
        with mpl.rc_context(_SETTINGS):
            return draw(*arguments, **named)

    return drawing


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, sized in inches, that needs no screen."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def grid_of_panels(rows: int, columns: int, width: float, height: float, **shared: Any) -> tuple[Figure, Any]:
    """Return a figure and its panels (rows, columns); a single column is laid out as a row."""
    turned = columns == 1
    across, down = (rows, 1) if turned else (columns, rows)
    figure = new_figure(max(5.2, 0.8 + width * across), 1.1 + height * down)
    panels = figure.subplots(down, across, squeeze=False, **shared)
    return figure, panels.T if turned else panels


@in_house_style
def save_figure(figure: Figure, path: Path, record: Mapping[str, Any], numbers: Mapping[str, Any]) -> None:
    """Write a figure, and beside it a `.json` with its record, library versions and numbers."""
    whole = {**record, "versions": versions(), "numbers": numbers}
    text = json.dumps(whole, indent=1, default=_plain) + "\n"
    with atomic_write(path) as temporary:
        # Without the date, the same figure is the same file.
        dated = {".svg": "Date", ".pdf": "CreationDate"}.get(path.suffix)
        figure.savefig(temporary, dpi=DOTS_PER_INCH, metadata={dated: None} if dated else None)
    with atomic_write(path.with_suffix(".json")) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _plain(value: Any) -> Any:
    """Convert NumPy's arrays and numbers for JSON."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
