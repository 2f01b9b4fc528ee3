from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.summary import summarise
from quantilizers.figures.data_set import draw_data_set

QUANTILES = (1.0, 0.5, 0.25, 0.01)


def figure_of(demonstrations: Demonstrations) -> Figure:
    figure, _ = draw_data_set(summarise(demonstrations), QUANTILES, "a car, data set mine", "true", "proxy")
    return figure


def test_the_figure_shows_every_episode_and_every_cut(car_demonstrations: Demonstrations) -> None:
    episodes, ranges = figure_of(car_demonstrations).axes
    summary = summarise(car_demonstrations)
    dots = np.asarray(episodes.collections[0].get_offsets())
    np.testing.assert_allclose(dots, np.stack([summary.proxy_returns, summary.true_returns], axis=1))
    best = np.sort(summary.proxy_returns)[::-1]
    bars = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in ranges.patches]  # type: ignore[attr-defined]
    np.testing.assert_allclose(bars, [(best[number - 1], best[0]) for number in (12, 6, 3, 1)])


def test_no_text_overlaps_where_many_are_tied(car_demonstrations: Demonstrations) -> None:
    forty = car_demonstrations.select(np.zeros(40, dtype=np.intp))
    tied = replace(forty, episodes=replace(forty.episodes, extras={"player": np.full(40, "Ada")}))
    figure = figure_of(tied)
    figure.canvas.draw()
    ranges = figure.axes[1]
    words = ranges.child_axes[0].get_yticklabels()
    assert "30 tied left out" in words[2].get_text()
    labels = [*ranges.get_yticklabels(), *words, *ranges.get_xticklabels(), ranges.xaxis.label, figure._suptitle]
    boxes = [label.get_window_extent() for label in labels if label is not None and label.get_text()]
    whole = figure.bbox
    for index, box in enumerate(boxes):
        assert whole.x0 <= box.x0
        assert box.x1 <= whole.x1
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])
