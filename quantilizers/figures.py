"""How every figure looks, and how it is written: a picture, and beside it what it shows."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import quantilizers
from quantilizers.files import atomic_write, sha256_of
from quantilizers.settings import Settings

#: Colours of Okabe and Ito (2008), which the colour-blind tell apart; they also differ in grey.
TRUE_COLOUR, PROXY_COLOUR, DEMONSTRATION_COLOUR = "#0072B2", "#E69F00", "#000000"
#: The same, dark enough to read as text on white.
TEXT_COLOURS = {TRUE_COLOUR: "#005A8E", PROXY_COLOUR: "#8A5A00"}
DOTS_PER_INCH = 200
_LIBRARIES = (
    "numpy",
    "scipy",
    "matplotlib",
    "gymnasium",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "mujoco",
    "ale-py",
    "torch",
    "stable-baselines3",
    "sb3-contrib",
)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, in inches, that needs no screen."""
    matplotlib.rcParams.update({"font.size": 10, "axes.spines.top": False, "svg.hashsalt": "quantilizers"})
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path, settings: Settings, numbers: Mapping[str, Any]) -> None:
    """Write a figure and, beside it, a `.json` with its command, versions, data hash and the numbers drawn.

    Args:
        figure: the picture.
        path: the `.png` to write.
        settings: the run that drew it.
        numbers: what stands in the picture; arrays and numbers that JSON can hold.

    Raises:
        UserError: a file cannot be written.
    """
    data = settings.layout.data
    record = {
        "command": ["python", "quantilizer.py", *settings.command],
        "environment": settings.environment.name,
        "dataset": settings.layout.dataset,
        "data_sha256": sha256_of(data) if data.is_file() else None,
        "versions": versions(),
        "numbers": numbers,
    }
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=DOTS_PER_INCH)
    with atomic_write(path.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(record, indent=1, default=_plain) + "\n", encoding="utf-8")
    print(f"drew {path}")


def versions() -> dict[str, str]:
    """Return the versions of Python, this project and the libraries that are installed."""
    found = {"python": platform.python_version(), "quantilizers": quantilizers.__version__}
    for library in _LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found


def _plain(value: Any) -> Any:
    """Turn NumPy's arrays and numbers into what JSON knows."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
