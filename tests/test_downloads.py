from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from loopback import Loopback, serving
from quantilizers import downloads
from quantilizers.demonstrations import Demonstrations, load_demonstrations
from quantilizers.envs import load_environment

CAR = load_environment("MountainCar-v0")
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
    """Run the command; give its exit code, standard output and the lines that it complained in."""
    monkeypatch.delenv(downloads.MIRROR_VARIABLE, raising=False)

    def run(*words: str) -> tuple[int, str, str]:
        code = downloads.main(words, log)
        captured = capsys.readouterr()
        complaints = [line for line in captured.err.splitlines() if line.startswith(("load_data.sh:", "left out:"))]
        return code, captured.out, "\n".join(complaints)

    return run


def npz_of(demonstrations: Demonstrations, **change: Any) -> bytes:
    arrays = {
        "obs": demonstrations.observations,
        "acs": demonstrations.actions,
        "rews": demonstrations.true_rewards,
        "done": demonstrations.done,
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
            "michael.npz": npz_of(other, done=None, acs=other.actions[..., 0]),
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
    ryan = load_demonstrations(log / "MountainCar-v0" / "ryan.npz", CAR)
    np.testing.assert_array_equal(ryan.observations, car_demonstrations.observations)
    np.testing.assert_array_equal(ryan.true_rewards, car_demonstrations.true_rewards)
    michael = load_demonstrations(log / "MountainCar-v0" / "michael.npz", CAR)
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
    monkeypatch.setenv(downloads.MIRROR_VARIABLE, loopback.url("/share?dl=1"))
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
    car_demonstrations.select(np.arange(2)).save(there)
    before = there.read_bytes()
    (tmp_path / "data.zip").write_bytes(good)
    code, _, complaints = load("--from", str(tmp_path / "data.zip"))
    assert code == 1
    assert complaints.count("\n") == 0
    assert "--force" in complaints
    assert there.read_bytes() == before
    assert names_in(log) == ["MountainCar-v0", "MountainCar-v0/ryan.npz"]
    assert load("--force", "--from", str(tmp_path / "data.zip"))[0] == 0
    assert load_demonstrations(there, CAR).number == car_demonstrations.number
    assert names_in(log) == ["MountainCar-v0", "MountainCar-v0/michael.npz", "MountainCar-v0/ryan.npz"]


def test_lets_do_irl(load: Load, log: Path, loopback: Loopback) -> None:
    car = gymnasium.make("MountainCar-v0").unwrapped
    rows = []
    for seed in range(2):
        car.reset(seed=seed)
        rows.append([[*car.step(action)[0], action] for action in [0] * 35 + [2] * 95])
    file = io.BytesIO()
    np.save(file, np.array(rows, dtype=np.float64))
    loopback.files["/expert_demo.npy"] = file.getvalue()
    code, out, complaints = load("--source", "lets-do-irl", "--url", loopback.url("/expert_demo.npy"))
    assert (code, complaints) == (0, "")
    brought = load_demonstrations(log / "MountainCar-v0" / "lets-do-irl.npz", CAR)
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
        (pickled, "bad.npz holds pickled objects, which are never read"),
        (lambda good: good[:-500], "damaged or half"),
        (lambda good: good[: len(good) // 2], "damaged or half"),
        (lambda good: b"", "neither a zip nor a .npy"),
        (lambda good: b"Rar!\x1a\x07", "neither a zip nor a .npy"),
        (lambda good: b"\x93NUMPY\x01\x00", "damaged or half"),
        (lambda good: zip_of(**{"a/../../b.npz": b""}), "leaves its folder"),
        (lambda good: zip_of(**{"/b.npz": b""}), "absolute"),
        (lambda good: zip_of(**{"MountainCar-v0/b.npz": b"PK nonsense"}), "b.npz is no readable npz"),
        (lambda good: zip_of(**{"b.npz": zip_of()}), "b.npz lacks obs, acs, rews"),
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
    else:
        (tmp_path / "data.zip").write_bytes(spoil(good))
        code, out, complaints = load("--from", str(tmp_path / "data.zip"))
    assert code == 1
    assert problem in complaints
    assert complaints.count("\n") == 0
    assert "--from" in complaints
    assert downloads.MIRROR_VARIABLE in complaints
    assert "nothing was changed" in complaints
    assert out == ""
    assert not log.exists()


def test_an_npz_of_pickles_alone_is_refused_as_npy_too(load: Load, log: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "expert_demo.npy", np.array([[1], [1, 2]], dtype=object), allow_pickle=True)
    code, _, complaints = load("--from", str(tmp_path / "expert_demo.npy"))
    assert code == 1
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
    assert code == 1
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
    assert code == 1
    assert "bad.npz ep_rets" in complaints
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
    assert code == 1
    assert "the same data set" in complaints
    assert not log.exists()


def test_no_space_leaves_nothing_behind(
    load: Load, log: Path, tmp_path: Path, good: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data.zip").write_bytes(good)
    write = np.savez_compressed
    written: list[Path] = []

    def full_after_one(file: Path, **arrays: Any) -> None:
        if written:
            raise OSError(28, "No space left on device")
        written.append(file)
        write(file, **arrays)

    monkeypatch.setattr(np, "savez_compressed", full_after_one)
    code, out, complaints = load("--from", str(tmp_path / "data.zip"))
    assert (code, out) == (1, "")
    assert written, "the first file is meant to fit"
    assert "No space left on device" in complaints
    assert complaints.count("\n") == 0
    assert ".npz: No space" in complaints
    assert names_in(log) == []


def test_wrong_arguments_are_told_in_one_line(capsys: pytest.CaptureFixture[str], log: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        downloads.main(["--source", "elsewhere"], log)
    assert ended.value.code == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert "lets-do-irl" in complaint


def test_the_paper_s_source_is_the_one_that_the_reference_implementation_names() -> None:
    url = "https://www.dropbox.com/sh/5p2f46s23eum86s/AADhtxW5WM2P1b2w82rn7xyla?dl=1"
    assert downloads.SOURCES["paper"][0] == url
    assert downloads.parser().parse_args([]).source == "paper"
