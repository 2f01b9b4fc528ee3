"""Hostile and damaged data sets of Minari: refused in one line, and nothing is followed or run."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.minari_bridge import export_dataset, import_dataset
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from watching import bounded_memory, nothing_written_nothing_run

h5py = pytest.importorskip("h5py", reason="h5py is optional: pip install -r requirements-minari.txt")
pytest.importorskip("minari", reason="Minari is optional: pip install -r requirements-minari.txt")
CAR = load_environment("MountainCar-v0")
NAME = "quantilizers/MountainCar-v0/small-v0"
#: Changes a data set: its folder, its HDF5 file, open, and its metadata.
Change = Callable[[Path, Any, dict[str, Any]], object]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("minari")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(root))
        export_dataset(Demonstrations.load("demo").select(slice(0, 3)), NAME)
        assert import_dataset(NAME, CAR).number == 3
    return root


@pytest.fixture
def folder(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(exported, tmp_path / "minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path / "minari" / NAME / "data"


def put(name: str, **how: Any) -> Change:
    """Replace an array of the first episode."""

    def change(folder: Path, file: Any, metadata: dict[str, Any]) -> None:
        del file[f"episode_0/{name}"]
        file["episode_0"].create_dataset(name, **how)

    return change


def link(folder: Path, file: Any, metadata: dict[str, Any]) -> None:
    del file["episode_0/rewards"]
    file["episode_0/rewards"] = h5py.ExternalLink(str(folder / "main_data.hdf5"), "/episode_1/rewards")


def external(folder: Path, file: Any, metadata: dict[str, Any]) -> None:
    shape = file["episode_0/observations"].shape
    (folder / "secret").write_bytes(bytes(8 * shape[0] * shape[1]))
    del file["episode_0/observations"]
    file["episode_0"].create_dataset(
        "observations", shape, "f8", external=[(str(folder / "secret"), 0, 8 * shape[0] * shape[1])]
    )


def code(folder: Path, file: Any, metadata: dict[str, Any]) -> None:
    """Minari makes the environment where a space is missing: any function of any module."""
    spec = json.loads(metadata["env_spec"])
    spec |= {"entry_point": "os:mkdir", "kwargs": {"path": str(folder.parents[4] / "ran")}}
    metadata["env_spec"] = json.dumps(spec)
    del metadata["observation_space"]


def of_metadata(**entries: Any) -> Change:
    return lambda folder, file, metadata: metadata.update(entries)


def of_ours(**entries: Any) -> Change:
    return lambda folder, file, metadata: metadata["quantilizers"].update(entries)


def of_types(**entries: Any) -> Change:
    return lambda folder, file, metadata: metadata["quantilizers"]["dtypes"].update(entries)


PICTURES = json.dumps({"type": "Box", "dtype": "uint8", "shape": [64, 64, 3], "low": 0, "high": 255})
HOSTILE: dict[str, Change] = {
    "external link": link,
    "external storage": external,
    "code in the specification": code,
    "specification is a list": of_metadata(env_spec=[]),
    "no space": of_metadata(action_space=None),
    "space is no JSON": of_metadata(observation_space="{"),
    "space of parts": of_metadata(observation_space=json.dumps({"type": "Dict", "subspaces": {}})),
    "pictures": of_metadata(observation_space=PICTURES, jpeg_encoding=True),
    "other format": of_metadata(data_format="arrow"),
    "version is a list": of_metadata(minari_version=[1]),
    "too many episodes": of_metadata(total_episodes=10**12),
    "episodes are words": of_metadata(total_episodes="3"),
    "no episodes": of_metadata(total_episodes=0),
    "too many steps": of_ours(steps=10**12),
    "steps are words": of_ours(steps="9"),
    "ours is a list": of_metadata(quantilizers=[1]),
    "type of objects": of_types(obs="O"),
    "type of long words": of_types(obs="<U100000000"),
    "type of nothing": of_types(**{"extras/player": "<U0"}),
    "type is a number": of_types(obs=3),
    "short rewards": put("rewards", data=np.zeros(3)),
    "rewards in columns": put("rewards", data=np.zeros((3, 3))),
    "complex rewards": put("rewards", data=np.zeros(3, complex)),
    "rewards are words": put("rewards", data=["a", "b"]),
    "no rewards": lambda folder, file, metadata: file["episode_0"].__delitem__("rewards"),
    "empty episode": put("rewards", data=np.zeros(0)),
    "bomb": put("rewards", shape=(10**9,), dtype="f8", compression="gzip"),
    "sparse": put("rewards", shape=(10**9,), dtype="f8"),
    "one observation": put("observations", data=np.zeros((1, 2))),
    "no array": lambda folder, file, metadata: file.__delitem__("episode_1"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_it_is_refused_in_one_line(folder: Path, kind: str) -> None:
    metadata = json.loads((folder / "metadata.json").read_text())
    with h5py.File(folder / "main_data.hdf5", "a") as file:
        HOSTILE[kind](folder, file, metadata)
    (folder / "metadata.json").write_text(json.dumps(metadata))
    root = folder.parents[3]  # Minari makes its root if it is missing
    with nothing_written_nothing_run(root), bounded_memory(100 * 2**20), pytest.raises(UserError) as raised:
        import_dataset(NAME, CAR)
    message = str(raised.value)
    assert message.startswith(f"{NAME}")
    assert message.isprintable()
    assert len(message) < 400
    assert not (root.parent / "ran").exists()


@pytest.mark.parametrize("name", ["main_data.hdf5", "metadata.json"])
def test_files_that_are_no_files_are_refused(folder: Path, name: str) -> None:
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir, lambda path: path.write_bytes(b"x")):
        (folder / name).rename(folder / "aside") if not (folder / "aside").exists() else None
        make(folder / name)
        with pytest.raises(UserError, match=r"cannot be read"):
            import_dataset(NAME, CAR)
        (folder / name).rmdir() if (folder / name).is_dir() else (folder / name).unlink()


def test_pictures_of_other_sizes_are_refused_unread(folder: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")

    def jpeg(side: int, kind: str) -> np.ndarray:
        buffer = io.BytesIO()
        pillow.new("RGB", (side, side)).save(buffer, format=kind)
        return np.frombuffer(buffer.getvalue(), dtype=np.uint8)

    metadata = json.loads((folder / "metadata.json").read_text())
    (folder / "metadata.json").write_text(
        json.dumps({**metadata, "observation_space": PICTURES, "jpeg_encoding": True})
    )
    ways = ((4000, "JPEG", "points, not"), (64, "PNG", "cannot identify"), (64, "JPEG", "Box low.shape"))
    for side, kind, problem in ways:
        with h5py.File(folder / "main_data.hdf5", "a") as file:
            for episode in range(3):
                number = len(file[f"episode_{episode}/rewards"]) + 1
                del file[f"episode_{episode}/observations"]
                rows = file.create_dataset(
                    f"episode_{episode}/observations", (number,), h5py.vlen_dtype(np.uint8)
                )  # fmt: skip
                for place in range(number):
                    rows[place] = jpeg(side, kind) if place == number - 1 else jpeg(64, "JPEG")
        with pytest.raises(UserError, match=problem):
            import_dataset(NAME, CAR)
