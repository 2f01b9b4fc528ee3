from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from loopback import Loopback, serving
from quantilizers.commands import load_data
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.demonstrations.episodes import load_episodes
from quantilizers.envs.people_play import SOURCES

Load = Callable[..., tuple[int, str, str]]


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    with serving() as server:
        yield server


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def load(log: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Load:
    """Run the command; return its exit code, standard output and lines of standard error."""
    monkeypatch.delenv(load_data.MIRROR_VARIABLE, raising=False)

    def run(*words: str) -> tuple[int, str, str]:
        code = load_data.main(["--log_dir", str(log), *words])
        captured = capsys.readouterr()
        complaints = [line for line in captured.err.splitlines() if line.startswith(("load_data.sh:", "left out:"))]
        return code, captured.out, "\n".join(complaints)

    return run


def npz_of(demonstrations: Demonstrations, **change: Any) -> bytes:
    arrays = {
        "obs": demonstrations.episodes.observations,
        "acs": demonstrations.episodes.actions,
        "rews": demonstrations.episodes.true_rewards,
        "done": demonstrations.episodes.done,
        "ep_rets": demonstrations.true_returns,
        **change,
    }
    target = io.BytesIO()
    np.savez(target, **{key: array for key, array in arrays.items() if array is not None})
    return target.getvalue()


def zip_of(**entries: bytes) -> bytes:
    """A zip as Dropbox makes it of a folder: it begins with an entry `/`."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("/", b"")
        for name, content in entries.items():
            archive.writestr(name, content)
    return target.getvalue()


@pytest.fixture
def good(car_demonstrations: Demonstrations) -> bytes:
    other = car_demonstrations.select(np.arange(3))
    return zip_of(
        **{
            "log/MountainCar-v0/ryan.npz": npz_of(car_demonstrations),
            "michael.npz": npz_of(other, done=None, acs=other.episodes.actions[..., 0]),
        }
    )


def names_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_the_archive_arrives_in_log(
    load: Load, log: Path, loopback: Loopback, good: bytes, car_demonstrations: Demonstrations
) -> None:
    loopback.files["/mirror.zip"] = good
    code, out, complaints = load("--url", loopback.url("/mirror.zip"))
    assert (code, complaints) == (0, "")
    assert names_in(log) == ["MountainCar-v0", "MountainCar-v0/michael.npz", "MountainCar-v0/ryan.npz"]
    ryan = load_episodes(log / "MountainCar-v0" / "ryan.npz")
    np.testing.assert_array_equal(ryan.observations, car_demonstrations.episodes.observations)
    np.testing.assert_array_equal(ryan.true_rewards, car_demonstrations.episodes.true_rewards)
    michael = load_episodes(log / "MountainCar-v0" / "michael.npz")
    assert michael.lengths.tolist() == car_demonstrations.lengths[:3].tolist()
    steps = int(car_demonstrations.lengths.sum())
    assert f"| {steps:,} |" in next(line for line in out.splitlines() if "/ryan.npz" in line and line[0] == "|")
    assert "michael.npz: it has no done" in out
    assert "atarigrandchallenge.com/data" in out
    assert "VideoPinballNoFrameskip-v4/DATASET/screens/pinball/<n>/<frame>.png" in out


def test_the_variable_names_a_mirror(
    load: Load, log: Path, loopback: Loopback, good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    loopback.files["/mirror.zip"] = good
    loopback.redirects["/share"] = "/mirror.zip"
    monkeypatch.setenv(load_data.MIRROR_VARIABLE, loopback.url("/share?dl=1"))
    assert load()[0] == 0
    assert (log / "MountainCar-v0" / "ryan.npz").exists()


def test_an_archive_at_hand(load: Load, log: Path, tmp_path: Path, good: bytes) -> None:
    (tmp_path / "data.zip").write_bytes(good)
    assert load("--from", str(tmp_path / "data.zip"))[0] == 0
    assert (log / "MountainCar-v0" / "ryan.npz").exists()
    assert (tmp_path / "data.zip").read_bytes() == good


def test_loading_again_changes_nothing(load: Load, log: Path, tmp_path: Path, good: bytes) -> None:
    (tmp_path / "data.zip").write_bytes(good)
    load("--from", str(tmp_path / "data.zip"))
    before = (log / "MountainCar-v0" / "ryan.npz").stat()
    code, out, _ = load("--from", str(tmp_path / "data.zip"))
    assert code == 0
    assert "was there already" in out
    assert (log / "MountainCar-v0" / "ryan.npz").stat().st_mtime_ns == before.st_mtime_ns


def test_other_data_of_the_name_are_kept_without_force(
    load: Load, log: Path, tmp_path: Path, good: bytes, car_demonstrations: Demonstrations
) -> None:
    there = log / "MountainCar-v0" / "ryan.npz"
    car_demonstrations.select(np.arange(2)).episodes.save(there)
    before = there.read_bytes()
    (tmp_path / "data.zip").write_bytes(good)
    code, _, complaints = load("--from", str(tmp_path / "data.zip"))
    assert code == 2
    assert complaints.count("\n") == 0
    assert "--force" in complaints
    assert "nothing was changed" in complaints
    assert there.read_bytes() == before
    assert names_in(log) == ["MountainCar-v0", "MountainCar-v0/ryan.npz"]
    assert load("--force", "--from", str(tmp_path / "data.zip"))[0] == 0
    assert load_episodes(there).number == car_demonstrations.number
    assert names_in(log) == ["MountainCar-v0", "MountainCar-v0/michael.npz", "MountainCar-v0/ryan.npz"]


def test_lets_do_irl(load: Load, log: Path, loopback: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    car = gymnasium.make("MountainCar-v0").unwrapped
    rows = []
    for seed in range(2):
        car.reset(seed=seed)
        rows.append([[*car.step(action)[0], action] for action in [0] * 35 + [2] * 95])
    file = io.BytesIO()
    np.save(file, np.array(rows, dtype=np.float64))
    loopback.files["/expert_demo.npy"] = file.getvalue()
    words = ("--source", "lets-do-irl", "--url", loopback.url("/expert_demo.npy"))
    code, _, complaints = load(*words)
    assert code == 1, "a mirror has the same file"
    assert "it is another file" in complaints
    ours = replace(SOURCES["lets-do-irl"], sha256=hashlib.sha256(file.getvalue()).hexdigest())
    monkeypatch.setitem(SOURCES, "lets-do-irl", ours)
    code, out, complaints = load(*words)
    assert (code, complaints) == (0, "")
    brought = load_episodes(log / "MountainCar-v0" / "lets-do-irl.npz")
    assert brought.number == 2
    assert brought.observations[:, 0, 1].tolist() == [0.0, 0.0]
    assert "lets-do-irl.npz" in out


def html(_: bytes) -> bytes:
    return b"\n<!DOCTYPE html><html><title>Dropbox - Log in</title></html>"


def pickled(good: bytes) -> bytes:
    target = io.BytesIO()
    np.savez(target, obs=np.array([[1], [1, 2]], dtype=object), acs=np.zeros(2), rews=np.zeros(2))
    return zip_of(**{"MountainCar-v0/bad.npz": target.getvalue()})


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (html, "web page"),
        (pickled, "bad.npz: its obs is not read: pickled objects"),
        (lambda good: good[:-500], "damaged or half"),
        (lambda good: good[: len(good) // 2], "damaged or half"),
        (lambda good: b"", "it is empty"),
        (lambda good: b"Rar!\x1a\x07", "an archive of RAR"),
        (lambda good: b"\x93NUMPY\x01\x00", "damaged or half"),
        (lambda good: zip_of(**{"a/../../b.npz": b""}), "leaves its folder"),
        (lambda good: zip_of(**{"/b.npz": b""}), "absolute"),
        (lambda good: zip_of(**{"MountainCar-v0/b.npz": b"PK nonsense"}), "b.npz is no readable npz"),
        (lambda good: zip_of(**{"b.npz": zip_of()}), "b.npz is a zip without arrays"),
        (lambda good: zip_of(**{"readme.txt": b"moved"}), "no .npz"),
    ],
)
@pytest.mark.parametrize("way", ["download", "at hand"])
def test_a_bad_download_changes_nothing(
    load: Load, log: Path, tmp_path: Path, loopback: Loopback, good: bytes, spoil: Any, problem: str, way: str
) -> None:
    if way == "download":
        loopback.files["/mirror.zip"] = spoil(good)
        code, out, complaints = load("--url", loopback.url("/mirror.zip"))
        assert code == 1
    else:
        (tmp_path / "data.zip").write_bytes(spoil(good))
        code, out, complaints = load("--from", str(tmp_path / "data.zip"))
        assert code == 2
    assert problem in complaints
    assert complaints.count("\n") == 0
    assert "--from" in complaints
    assert load_data.MIRROR_VARIABLE in complaints
    assert "nothing was changed" in complaints
    assert out == ""
    assert not log.exists()


def test_an_npz_of_pickles_alone_is_refused_as_npy_too(load: Load, log: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "expert_demo.npy", np.array([[1], [1, 2]], dtype=object), allow_pickle=True)
    code, _, complaints = load("--from", str(tmp_path / "expert_demo.npy"))
    assert code == 2
    assert "pickles are never read" in complaints
    assert not log.exists()


def test_no_network_and_no_file(load: Load, log: Path, loopback: Loopback, tmp_path: Path) -> None:
    url = loopback.url("/mirror.zip")
    assert "404" in load("--url", url)[2]
    loopback.stop()
    code, _, complaints = load("--url", url)
    assert code == 1
    assert "no connection" in complaints
    assert "--source lets-do-irl" in complaints
    code, _, complaints = load("--from", str(tmp_path / "nothing.zip"))
    assert code == 2
    assert "nothing.zip" in complaints
    assert not log.exists()


def test_one_bad_file_stops_all_unless_it_is_left_out(
    load: Load, log: Path, tmp_path: Path, car_demonstrations: Demonstrations
) -> None:
    entries = {
        "MountainCar-v0/good.npz": npz_of(car_demonstrations),
        "MountainCar-v0/bad.npz": npz_of(car_demonstrations, ep_rets=car_demonstrations.true_returns + 1),
    }
    (tmp_path / "data.zip").write_bytes(zip_of(**entries))
    code, _, complaints = load("--from", str(tmp_path / "data.zip"))
    assert code == 2
    assert "bad.npz: ep_rets" in complaints
    assert "--skip-invalid" in complaints
    assert not log.exists()
    code, _, complaints = load("--skip-invalid", "--from", str(tmp_path / "data.zip"))
    assert code == 0
    assert "left out: MountainCar-v0/bad.npz" in complaints
    assert names_in(log) == ["MountainCar-v0", "MountainCar-v0/good.npz"]


def test_two_files_for_one_name_are_refused(
    load: Load, log: Path, tmp_path: Path, car_demonstrations: Demonstrations
) -> None:
    content = npz_of(car_demonstrations)
    (tmp_path / "data.zip").write_bytes(zip_of(**{"ryan.npz": content, "MountainCar-v0/Ryan.npz": content}))
    code, _, complaints = load("--from", str(tmp_path / "data.zip"))
    assert code == 2
    assert "the same data set" in complaints
    assert not log.exists()


def test_no_space_leaves_nothing_behind(
    load: Load, log: Path, tmp_path: Path, good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data.zip").write_bytes(good)
    write = np.lib.format.write_array
    written: list[object] = []

    def full_after_some(*arguments: Any, **options: Any) -> None:
        if len(written) > 6:
            raise OSError(28, "No space left on device")
        written.append(arguments)
        write(*arguments, **options)

    monkeypatch.setattr(np.lib.format, "write_array", full_after_some)
    code, out, complaints = load("--from", str(tmp_path / "data.zip"))
    assert (code, out) == (2, "")
    assert written, "the first file is meant to fit, of fewer than six arrays"
    assert "No space left on device" in complaints
    assert complaints.count("\n") == 0
    assert ".npz: No space" in complaints
    assert names_in(log) == []


def test_wrong_arguments_are_told_in_one_line(load: Load, log: Path) -> None:
    code, out, complaint = load("--source", "elsewhere")
    assert (code, out) == (2, "")
    assert complaint.count("\n") == 0
    assert "lets-do-irl" in complaint
    assert load("--frm", "x.zip")[0] == 2
    for words in (("--url", "https://localhost/x.zip"), ("--source", "paper")):
        code, _, complaint = load("--from", "x.zip", *words)
        assert code == 2
        assert "--from reads a file, and --source and --url download one" in complaint
    assert not log.exists()


def test_interrupting_is_exit_code_130(load: Load, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(load_data, "fetch", interrupt)
    assert load("--url", "http://127.0.0.1/") == (130, "", "load_data.sh: interrupted")
    assert not log.exists()


def test_the_help_tells_the_exit_codes(load: Load, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        load("--help")
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "1 the download failed or brought something else" in told
    assert "2 the command line asks for something impossible" in told
    assert "130 interrupted" in told


MINE = """
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.rewards import each_step

ENVIRONMENT = EnvironmentDefinition(
    "MountainCar-v0", each_step(lambda steps: steps.observations[:, 1]), max_steps=200, name="Backwards"
)
"""


def test_data_of_an_environment_of_ones_own(load: Load, log: Path, tmp_path: Path, good: bytes) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "data.zip").write_bytes(good)
    mine = ["--env_name", f"{tmp_path / 'mine.py'}:ENVIRONMENT"]
    code, _, complaints = load(*mine, "--from", str(tmp_path / "data.zip"))
    assert code == 0
    assert (log / "Backwards" / "ryan.npz").exists()
    # Their proxy cannot be computed, because the observations after the last steps are missing.
    assert "final_observation" in complaints
    np.save(tmp_path / "expert_demo.npy", np.zeros((2, 3, 3)))
    code, _, complaints = load(*mine, "--from", str(tmp_path / "expert_demo.npy"))
    assert code == 2
    assert "one array (npy)" in complaints


def test_the_paper_s_source_is_the_one_that_the_reference_implementation_names() -> None:
    url = "https://www.dropbox.com/sh/5p2f46s23eum86s/AADhtxW5WM2P1b2w82rn7xyla?dl=1"
    assert SOURCES["paper"].url == url
    assert "(paper)" in load_data.build_parser().format_help()
