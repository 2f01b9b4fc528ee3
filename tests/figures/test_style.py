from __future__ import annotations

import json
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from quantilizers.figures.style import in_house_style, new_figure, save_figure


@in_house_style
def draw() -> Figure:
    figure = new_figure(3, 2)
    figure.subplots().plot([1, 2])
    return figure


def test_matplotlib_s_own_settings_stay_as_they_are(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    figure = draw()
    save_figure(figure, tmp_path / "figure.png", {}, {})
    assert not figure.axes[0].spines["top"].get_visible()
    assert dict(mpl.rcParams) == before


FOREIGN = {
    "text.usetex": True,
    "font.family": "NoSuchFont",
    "figure.facecolor": "black",
    "axes.grid": True,
    "savefig.bbox": "tight",
    "lines.color": "red",
    "axes.prop_cycle": mpl.cycler(color=["red"]),
}


def test_a_user_s_matplotlibrc_changes_no_figure(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.png" for name in ("ours", "theirs")]
    save_figure(draw(), files[0], {}, {})
    with mpl.rc_context(FOREIGN):
        save_figure(draw(), files[1], {}, {})
        assert mpl.rcParams["text.usetex"], "the user's own figures keep it"
    assert files[0].read_bytes() == files[1].read_bytes()


def test_beside_the_picture_lie_the_record_the_versions_and_the_numbers(tmp_path: Path) -> None:
    path = tmp_path / "fig" / "figure.png"
    save_figure(draw(), path, {"command": ["a", "b"]}, {"bars": np.array([1.5, 2.0]), "number": np.int64(3)})
    assert path.read_bytes().startswith(b"\x89PNG")
    record = json.loads(path.with_suffix(".json").read_text())
    assert list(record) == ["command", "versions", "numbers"]
    assert record["numbers"] == {"bars": [1.5, 2.0], "number": 3}
    assert {"python", "quantilizers", "numpy", "matplotlib"} <= record["versions"].keys()


def test_what_json_cannot_hold_is_an_error_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="object"):
        save_figure(draw(), tmp_path / "figure.png", {}, {"bars": object()})
    assert not list(tmp_path.iterdir())
