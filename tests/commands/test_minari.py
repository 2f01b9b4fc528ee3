from __future__ import annotations

import sys
from pathlib import Path

import pytest

from quantilizers.commands import minari as command
from quantilizers.demonstrations.episodes import load_episodes

NAME = "quantilizers/MountainCar-v0/small-v0"
MINE = """
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.rewards import own

ENVIRONMENT = EnvironmentDefinition("MountainCar-v0", own, max_steps=200, name="Mine")
"""


@pytest.fixture
def _minari(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Minari, with an empty data folder."""
    pytest.importorskip("h5py", reason="h5py is optional: pip install -r requirements-minari.txt")
    pytest.importorskip("minari", reason="Minari is optional: pip install -r requirements-minari.txt")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))


@pytest.mark.usefixtures("_minari")
def test_the_command_line_exports_and_imports(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["export", "--log_dir", str(log), "--dataset_name", "small"]) == 0
    words = ["import", "--log_dir", str(log), "--dataset_name", "copy", "--minari_id", NAME]
    assert command.main(words) == 0
    folder = log / "MountainCar-v0"
    assert (folder / "copy.npz").read_bytes() == (folder / "small.npz").read_bytes()
    capsys.readouterr()
    assert command.main(words) == 2
    assert "--force" in capsys.readouterr().err
    assert command.main([*words, "--force"]) == 0
    assert load_episodes(folder / "copy.npz").number == 12
    assert command.main(["export", "--log_dir", str(log), "--dataset_name", "small"]) == 2
    assert "--force" in capsys.readouterr().err


@pytest.mark.usefixtures("_minari")
def test_author_and_code_are_noted_in_minari_s(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import minari

    words = ["--log_dir", str(log), "--dataset_name", "small", "--author", "Ann", "--code", "https://example.org/v1"]
    assert command.main(["export", *words]) == 0
    metadata = minari.load_dataset(NAME).storage.metadata
    assert metadata["author"] in ("Ann", {"Ann"})
    assert metadata["code_permalink"] == "https://example.org/v1"
    assert command.main(["import", *words, "--minari_id", NAME]) == 2
    assert "go with export alone" in capsys.readouterr().err


@pytest.mark.usefixtures("_minari")
def test_an_environment_of_ones_own_goes_there_and_back(log: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    (log / "Mine").mkdir()
    (log / "MountainCar-v0" / "small.npz").rename(log / "Mine" / "small.npz")
    words = ["--env_id", f"{tmp_path / 'mine.py'}:ENVIRONMENT", "--log_dir", str(log)]
    assert command.main(["export", *words, "--dataset_name", "small"]) == 0
    minari_id = "quantilizers/Mine/small-v0"
    assert command.main(["import", *words, "--dataset_name", "copy", "--minari_id", minari_id]) == 0
    assert (log / "Mine" / "copy.npz").read_bytes() == (log / "Mine" / "small.npz").read_bytes()


@pytest.mark.usefixtures("_minari")
@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["import", "--minari_id", "nothing-v0"], "minari download nothing-v0"),
        (["export", "--dataset_name", "nothing"], "scripts/load_data.sh"),
        (["export", "--dataset_name", "small", "--minari_id", "no version"], "not an id of Minari's"),
        (["exprt"], "do is 'exprt'; did you mean export? it is one of export, import"),
        (["export", "--env_name", "Pong"], "unknown environment"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    log: Path, capsys: pytest.CaptureFixture[str], words: list[str], problem: str
) -> None:
    assert command.main([*words, "--log_dir", str(log)]) == 2
    captured = capsys.readouterr()
    assert problem in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_without_minari_one_line_says_what_to_install(
    log: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "minari"]:
        monkeypatch.delitem(sys.modules, name)

    class Absent:
        def find_spec(self, name: str, *_: object) -> None:
            if name.split(".")[0] == "minari":
                raise ModuleNotFoundError("No module named 'minari'", name="minari")

    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    assert command.main(["export", "--log_dir", str(log), "--dataset_name", "small"]) == 2
    error = capsys.readouterr().err
    assert "pip install -r requirements-minari.txt" in error
    assert error.count("\n") == 1
