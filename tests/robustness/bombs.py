"""Files that claim, or hold, far more than they should, and what reading one takes, measured in its own process.

`python tests/robustness/bombs.py FOLDER` writes them, reads each under limits, and prints what each took.
"""

from __future__ import annotations

import io
import json
import os
import resource
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from damage import header_of, zip_bytes  # noqa: E402
from quantilizers.arrays import load_arrays  # noqa: E402
from quantilizers.datasets.bringing_in import read_source  # noqa: E402
from quantilizers.datasets.minari_files import check_minari  # noqa: E402
from quantilizers.envs.registry import load_environment  # noqa: E402
from quantilizers.errors import UserError  # noqa: E402
from quantilizers.gates.json_files import read_json  # noqa: E402
from quantilizers.policies.keras_files import content_hash, load_policy, recipe_of  # noqa: E402

#: What a refusal may take beyond twice the file, in bytes, and beyond reading it, in seconds of processor time.
ROOM, SECONDS = 100 * 2**20, 1.0
MIB = 2**20
CAR = load_environment("MountainCar-v0")


def of_hdf5(fill: Callable[[Any], object]) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        fill(file)
    return buffer.getvalue()


def keras(weights: bytes, note: bytes = b"", method: int = zipfile.ZIP_STORED) -> bytes:
    settings = {"environment": "MountainCar-v0", "quantile": 1, "seed": 0, "family": "multilayer_perceptron"}
    text = note or json.dumps({**settings, "training": {"hidden_units": [4]}, "data": "0"}).encode()
    return zip_bytes([("model.weights.h5", weights), ("quantilizers.json", text)], method)


def words(file: Any, name: str = "layers/dense/vars/0") -> list[int]:
    """Write words of which the first has a megabyte; return where their references lie."""
    array = file.create_dataset(name, (3000,), h5py.string_dtype())
    array[0] = "w" * MIB
    return [array.id.get_offset()]


def same_words() -> bytes:
    places: list[int] = []
    content = bytearray(of_hdf5(lambda file: places.extend(words(file))))
    content[places[0] : places[0] + 16 * 3000] = bytes(content[places[0] : places[0] + 16]) * 3000
    return bytes(content)


def twice_deflated(file: Any) -> None:
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_chunk((8000, 8000))
    for _ in range(2):
        settings.set_deflate(9)
    group = file.create_group("layers/dense/vars")
    array = h5py.h5d.create(group.id, b"0", h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((8000, 8000)), settings)
    h5py.Dataset(array)[...] = 0


def many_members(number: int) -> bytes:
    entry = zip_bytes([("", b"")], zipfile.ZIP_STORED)
    start, end = entry.index(b"PK\x01\x02"), entry.index(b"PK\x05\x06")
    size = number * (end - start)
    return entry[:start] + entry[start:end] * number + entry[end : end + 12] + size.to_bytes(4, "little") + entry[-6:]


def overlapping(number: int) -> bytes:
    """Return a zip whose entries are all the same ten megabytes."""
    content = zip_bytes([("x.npy", bytes(10 * MIB))])
    start, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    entries = b"".join(content[start:end].replace(b"x.npy", f"{place:05}".encode()) for place in range(number))
    tail = content[end : end + 8] + number.to_bytes(2, "little") * 2 + len(entries).to_bytes(4, "little")
    return content[:start] + entries + tail + content[-6:]


def nothing_of(kind: str, shape: str) -> bytes:
    return zip_bytes([("obs.npy", header_of(f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}"))])


def minari(fill: Callable[[Any], object]) -> bytes:
    def write(file: Any) -> None:
        for name in ("observations", "actions", "rewards", "terminations", "truncations"):
            file[f"episode_0/{name}"] = np.zeros(2 if name == "observations" else 1)
        fill(file)

    return of_hdf5(write)


#: Content by the name of the file, whose suffix chooses the reader.
BOMBS: dict[str, Callable[[], bytes]] = {
    "bz2.zip": lambda: zip_bytes([("MountainCar-v0/x.npz", bytes(400 * MIB))], zipfile.ZIP_BZIP2),
    "lzma.npz": lambda: zip_bytes([("obs.npy", bytes(300 * MIB))], zipfile.ZIP_LZMA),
    "members.npz": lambda: many_members(2_000_000),
    "members.zip": lambda: many_members(2_000_000),
    "overlapping.npz": lambda: overlapping(700),
    "void.npz": lambda: nothing_of("|V0", "(20, 1000000000000000)"),
    "words.npz": lambda: nothing_of("<U0", "(20, 30000000)"),
    "terabytes.npz": lambda: nothing_of("<f8", "(1000000, 1000000)"),
    "note.keras": lambda: keras(b"", bytes(300 * MIB), zipfile.ZIP_DEFLATED),
    "words.keras": lambda: keras(same_words()),
    "twice.keras": lambda: keras(of_hdf5(twice_deflated)),
    "sparse.keras": lambda: keras(of_hdf5(lambda file: file.create_dataset("layers/dense/vars/0", (10**9,), "f4"))),
    "weights.keras": lambda: keras(of_hdf5(lambda file: file.create_dataset("x", data=np.zeros(75 * MIB, "f4")))),
    "lists.json": lambda: b"[" + b"[]," * (20 * MIB) + b"[]]",
    "objects.json": lambda: b"[" + b'{"a":1},' * (8 * MIB) + b"{}]",
    "deep.json": lambda: b"[" * (20 * MIB),
    "wide.json": lambda: ('["' + "a" * (60 * MIB) + '\N{GRINNING FACE}"]').encode(),
    "sparse.hdf5": lambda: minari(lambda file: file.create_dataset("x", (10**9,), "f8", compression="gzip")),
    "words.hdf5": same_words,
    "chunk.hdf5": lambda: minari(
        lambda file: file.create_dataset("x", data=np.zeros(3), chunks=(2**26,), maxshape=(None,), compression="gzip")
    ),
}


def read(path: Path) -> None:
    if path.suffix == ".zip":
        (path.parent / "unpacked").mkdir(exist_ok=True)
        read_source(path, path.parent / "unpacked")
    elif path.suffix == ".npz":
        load_arrays(path, ("obs",))
    elif path.suffix == ".keras":
        recipe_of(path)
        content_hash(path)
        load_policy(path, CAR)
    elif path.suffix == ".json":
        try:
            read_json(path)
        except ValueError as error:  # its callers name the file
            raise UserError(str(error)) from None
    else:
        data = path.parent / "data"
        data.mkdir(exist_ok=True)
        (data / "main_data.hdf5").unlink(missing_ok=True)
        path.rename(data / "main_data.hdf5")
        space = json.dumps({"type": "Box"})
        about = {"data_format": "hdf5", "total_episodes": 1, "observation_space": space, "action_space": space}
        (data / "metadata.json").write_text(json.dumps(about))
        check_minari(path.parent)


def measured(path: Path) -> tuple[str, float, int]:
    """Read a file in a child of this process; return what became of it, seconds and the growth of memory in bytes."""
    received, sent = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(received)
        before, started = _peak(), time.process_time()
        try:
            read(path)
            outcome = "read"
        except UserError as error:
            outcome = "refused" if str(error).isprintable() and len(str(error)) < 2000 else f"said {error!r}"
        except BaseException as error:
            outcome = f"{type(error).__name__}: {error}"[:300]
        os.write(sent, json.dumps([outcome, time.process_time() - started, _peak() - before]).encode())
        os._exit(0)
    os.close(sent)
    with os.fdopen(received, "rb") as answer:
        content = answer.read()
    _, status = os.waitpid(child, 0)
    outcome, seconds, grown = json.loads(content) if content else (f"ended with status {status}", 0.0, 0)
    return outcome, seconds, grown


def _peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(folder: Path) -> int:
    warnings.simplefilter("ignore")
    faults = 0
    for name, make in BOMBS.items():
        path = folder / name
        # Made in a child, or this process's peak would hide what reading takes.
        maker = os.fork()
        if maker == 0:
            path.write_bytes(make())
            os._exit(0)
        os.waitpid(maker, 0)
        size = path.stat().st_size
        outcome, seconds, grown = measured(path)
        path.unlink(missing_ok=True)
        fits = outcome == "refused" and grown <= 2 * size + ROOM and seconds <= SECONDS + size / 2**28
        faults += not fits
        print(f"{name:16} {size / MIB:8.2f} MiB  {outcome:10} {seconds:5.2f} s  {grown / MIB:6.1f} MiB", flush=True)
        if not fits:
            print(f"FAULT {name}", flush=True)
    print(f"{len(BOMBS)} bombs, {len(BOMBS) - faults} refused within limits")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
