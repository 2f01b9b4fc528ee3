"""Studies of other populations, each in one command."""

from __future__ import annotations

from pathlib import Path

import pytest

import study_populations
from make_demo import demonstrate
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.errors import UserError


def test_each_data_set_is_made_once_and_studied_with_the_flags(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands: list[list[str]] = []

    def note(words: list[str]) -> int:
        commands.append(words)
        return 0

    monkeypatch.setattr(study_populations, "quantilize", note)
    words = ["good", "draw_1", "--seed_nb", "2", "--log_dir", str(tmp_path)]
    assert study_populations.main(words) == 0
    assert [command[-1] for command in commands] == ["good", "draw_1"]
    assert " ".join(commands[0]) == (
        "--do study --env_name MountainCar-v0 --path populations/ --seed_nb 10 --subsets 20 --seed_nb 2 --log_dir "
        f"{tmp_path} --dataset_name good"
    )
    folder = tmp_path / "MountainCar-v0"
    good = Demonstrations.load(folder / "good.npz", "MountainCar-v0")
    assert good.number == 250
    assert good.true_returns.mean() > -160
    before = (folder / "good.npz").stat().st_mtime_ns
    assert study_populations.main(words) == 0
    assert (folder / "good.npz").stat().st_mtime_ns == before
    (folder / "draw_1.npz").rename(folder / "good.npz")
    assert study_populations.main(words) == 2
    assert "good.npz has other demonstrations than population good with seed 1; move it away" in capsys.readouterr().err
    assert study_populations.main(["god"]) == 2
    assert "did you mean good" in capsys.readouterr().err
    monkeypatch.setattr(study_populations, "quantilize", lambda words: 2)
    assert study_populations.main(["demo", "slow", "--log_dir", str(tmp_path)]) == 2
    assert not (folder / "slow.npz").exists(), "a study that fails ends the run"


def test_the_shipped_data_set_is_that_of_its_population() -> None:
    made = demonstrate("MountainCar-v0", 0, population="shipped")
    shipped = Demonstrations.load("demo", "MountainCar-v0")
    assert made.true_returns.tolist() == shipped.true_returns.tolist()
    with pytest.raises(UserError, match="--players is 1; give at least 2"):
        demonstrate("MountainCar-v0", 0, 1)
