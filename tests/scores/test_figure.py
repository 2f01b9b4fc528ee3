from __future__ import annotations

import csv

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.path import Path as Outline
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

import make_scores
from quantilizers import curve
from quantilizers.scores.figure import draw_curve


def labels_and_lines(figure: Figure) -> tuple[dict[str, Bbox], list[Outline]]:
    """Return the boxes of the labels in the upper panel, and the outlines of its lines and error bars, in pixels."""
    figure.draw_without_rendering()
    panel = figure.axes[0]
    boxes = {note.get_text(): Text.get_window_extent(note) for note in panel.texts if isinstance(note, Annotation)}
    lines = [
        line.get_transform().transform_path(line.get_path()) for line in panel.lines if line.get_linestyle() != "None"
    ]
    for bars in (one for one in panel.collections if isinstance(one, LineCollection)):
        lines += [panel.transData.transform_path(Outline(segment)) for segment in bars.get_segments()]
    return boxes, lines


def shapes(kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    rng = np.random.default_rng(0)
    proxy = rng.normal(size=(40, 32))
    noise = rng.normal(size=proxy.shape)
    group = np.repeat(np.arange(40), 32)
    if kind == "simulated":
        rows = list(csv.DictReader((make_scores.FOLDER / "simulated_reward_model.csv").open(encoding="utf-8")))
        prompt, of_proxy, true = (np.array([float(row[name]) for row in rows]) for name in ("prompt", "proxy", "true"))
        return of_proxy, true, prompt
    true = {
        "turns": proxy - 2 * np.maximum(proxy - 1, 0) ** 2, "rises": proxy + noise / 9, "falls": -proxy + noise / 9,
        "flat": noise, "collapses": -np.exp(4 * proxy),
        "binary": (proxy + noise > 0).astype(float), "one group": proxy - proxy**2,
    }[kind]  # fmt: skip
    return proxy.ravel(), true.ravel(), None if kind == "one group" else group


@pytest.mark.parametrize("kind", ["simulated", "turns", "rises", "falls", "flat", "collapses", "binary", "one group"])
def test_labels_keep_clear_of_lines_and_of_each_other(kind: str) -> None:
    figure, _ = draw_curve(curve(*shapes(kind)), "true score", "proxy")
    boxes, lines = labels_and_lines(figure)
    assert len(boxes) >= 3
    frame = figure.axes[0].get_window_extent().padded(2)
    for text, box in boxes.items():
        assert not [line for line in lines if line.intersects_bbox(box, filled=False)], text
        assert frame.contains(*box.min), text
        assert frame.contains(*box.max), text
        assert not [other for other, of_other in boxes.items() if other != text and box.overlaps(of_other)], text
