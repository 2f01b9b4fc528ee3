from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from quantilizers import plotting
from quantilizers.envs import load_environment
from quantilizers.files import Layout
from quantilizers.plotting import run
from quantilizers.results import SeedResults
from quantilizers.settings import Settings

CAR = load_environment("MountainCar-v0")
QUANTILES = (1.0, 0.25)


@pytest.fixture
def returns(log: Path) -> np.ndarray:
    """Made-up true returns (3 seeds, 2 quantiles, 4 episodes), saved as results; the proxy's are half as large."""
    made = -np.random.default_rng(3).integers(100, 200, size=(3, 2, 4)).astype(float)
    for seed, of_seed in enumerate(made):
        rewards = np.zeros((2, 4, 1), dtype=np.float32)
        SeedResults(
            CAR.name, 200, {}, np.array(QUANTILES), of_seed, of_seed / 2, np.ones((2, 4), dtype=int), rewards, rewards
        ).save(Layout(log, CAR.name, "small").rewards(seed))
    return made


def draw(log: Path, style: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Figure, dict]:
    """Draw in a style; give the figure and what stands in the file beside it."""
    figures = []

    def keep(figure: Figure, *arguments: object) -> None:
        figures.append(figure)
        original(figure, *arguments)

    original: Callable[..., None] = plotting.save_figure
    monkeypatch.setattr(plotting, "save_figure", keep)
    settings = Settings(CAR, Layout(log, CAR.name, "small"), QUANTILES, range(3), 4, 200, plotstyle=style)
    run(settings)
    path = settings.layout.figure(style)
    assert path.read_bytes().startswith(b"\x89PNG")
    return figures[0], json.loads(path.with_suffix(".json").read_text())


@pytest.mark.parametrize(("style", "aggregate"), [("mean_seeds", np.mean), ("median_seeds", np.median)])
def test_bars_show_the_aggregate_and_dots_the_seeds(
    log: Path, returns: np.ndarray, style: str, aggregate: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`median_seeds` was documented in the reference implementation, and missing."""
    figure, record = draw(log, style, monkeypatch)
    seed_means = returns.mean(axis=2)
    for axes, factor, published in zip(figure.axes, (1.0, 0.5), (-180.16, -79.79), strict=True):
        *bars, optimiser = [bar.get_height() for bar in axes.patches]
        np.testing.assert_allclose(bars, factor * aggregate(seed_means, axis=0))
        assert optimiser == published
        assert axes.patches[-1].get_hatch()
        dots = [line.get_ydata() for line in axes.lines if line.get_marker() == "o"]
        np.testing.assert_allclose(dots, factor * seed_means.T)
        low, high = axes.get_ylim()
        assert low < min(min(bars), optimiser, np.min(dots))
        assert high == pytest.approx(0, abs=1e-9)
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["imitation\nq = 1", "q = 0.25", "SARSA\n(published)"]
    np.testing.assert_allclose(record["numbers"]["true"]["bars"], aggregate(seed_means, axis=0))


def test_zeros_of_both_axes_stand_at_the_same_height() -> None:
    figure = Figure()
    left = figure.subplots()
    right = left.twinx()
    left.bar([0, 1], [-5, 100])
    right.bar([0, 1], [-0.3, 0.1])
    plotting._align_zeros(left, right)
    heights = [-low / (high - low) for low, high in (left.get_ylim(), right.get_ylim())]
    assert heights[0] == pytest.approx(heights[1])
    for axes, low, high in ((left, -5, 100), (right, -0.3, 0.1)):
        assert axes.get_ylim()[0] < low
        assert axes.get_ylim()[1] > high


def test_distributions_show_demonstrations_and_seeds(
    log: Path, returns: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure, record = draw(log, "distribution", monkeypatch)
    assert len(figure.axes) == 4
    imitation = figure.axes[0]
    assert len(imitation.lines) == 4
    for line, of_seed in zip(imitation.lines[:3], returns[:, 0], strict=True):
        assert sorted(line.get_xdata()[1:]) == sorted(of_seed)
    kept = record["numbers"]["proxy"][1]["demonstrations"]
    everything = record["numbers"]["proxy"][0]["demonstrations"]
    assert len(everything) == 12
    assert kept == sorted(everything, reverse=True)[:3]


def test_the_record_beside_the_figure_says_what_it_was_made_from(
    log: Path, returns: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, record = draw(log, "mean_seeds", monkeypatch)
    data = (log / "MountainCar-v0" / "small.npz").read_bytes()
    assert record["data_sha256"] == hashlib.sha256(data).hexdigest()
    assert {"python", "quantilizers", "numpy", "matplotlib", "gymnasium"} <= record["versions"].keys()
    assert str(log) not in json.dumps(record)
