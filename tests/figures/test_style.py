from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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


def test_a_figure_of_other_settings_is_replaced_with_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figure.png"
    settings, numbers = {"settings": {"max_steps": 200}}, {"quantiles": np.array([1.0, 0.5]), "seeds": [0, 1]}

    def said(record: dict[str, Any], numbers: dict[str, Any]) -> str:
        save_figure(draw(), path, record, numbers)
        return capsys.readouterr().err

    assert not said(settings, numbers)
    assert not said(settings, numbers), "the same figure again"
    assert said(settings, {**numbers, "quantiles": [1.0]}) == (
        f"replaced {path}, which was drawn with quantiles 1.0 0.5, not 1.0\n"
    )
    assert "which was drawn with seeds 0 1, not 3" in said(settings, {"quantiles": [1.0], "seeds": [3]})
    assert "with max_steps 200, not 50" in said({"settings": {"max_steps": 50}}, {"quantiles": [1.0], "seeds": [3]})
    path.with_suffix(".json").write_text("[damaged")
    assert not said(settings, numbers)


def test_what_json_cannot_hold_is_an_error_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="object"):
        save_figure(draw(), tmp_path / "figure.png", {}, {"bars": object()})
    assert not list(tmp_path.iterdir())
