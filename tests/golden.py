"""Digests of everything that small runs of all three environments write: weights, rewards, arms, agents, figures.

`python tests/golden.py [CHECKOUT]` makes them of a checkout (this one by default) and adds them to
`expected/golden.json` for the processor and the libraries of this machine. Make them of the version before a change,
and run `sh scripts/test.sh -m slow -k golden` after it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy._core._multiarray_umath import __cpu_features__

ROOT = Path(__file__).resolve().parents[1]
EXPECTED = Path(__file__).parent / "expected" / "golden.json"
LIBRARIES = (
    "numpy", "scipy", "tensorflow-cpu", "keras", "gymnasium", "mujoco", "ale-py", "torch", "stable-baselines3",
    "sb3-contrib",
)  # fmt: skip
_CAR = "--quantiles 1.0 0.25 --seed_nb 2 --number_trajectories 5"
_HOPPER = "--env_name Hopper-v2 --seed_nb 1 --quantiles 1.0 0.25 --number_trajectories 3 --max_epochs 20"
_PINBALL = (
    "--env_name VideoPinballNoFrameskip-v4 --seed_nb 1 --quantiles 0.25 --number_trajectories 2 --max_steps 60 "
    "--training_steps 3"
)
#: Of each environment, the command lines that run one after the other in one folder.
RUNS = {
    "MountainCar-v0": [
        f"--do train test study {_CAR} --subsets 2 --methods quantile best_of_n",
        f"--do train test {_CAR} --path weighted/ --method exponential --weight episodes --budget updates "
        "--acting sample --history 2",
        "--do optimize --seed_nb 2 --number_trajectories 5 --optimiser_steps 2000",
        "--do optimize --seed_nb 1 --number_trajectories 2 --algorithm planner --optimiser_steps 20",
        f"--do plot {_CAR}",
        f"--do plot {_CAR} --plotstyle frontier",
        f"--do analyze {_CAR}",
    ],
    "Hopper-v2": [
        f"--do train test study {_HOPPER} --subsets 2",
        "--do optimize --env_name Hopper-v2 --seed_nb 1 --number_trajectories 3 --optimiser_steps 2048",
        "--do optimize --env_name Hopper-v2 --seed_nb 1 --number_trajectories 2 --algorithm planner "
        "--optimiser_steps 4",
        f"--do plot {_HOPPER}",
    ],
    "VideoPinballNoFrameskip-v4": [
        f"--do train test {_PINBALL}",
        f"--do plot {_PINBALL} --plotstyle lambda",
        "--do optimize --env_name VideoPinballNoFrameskip-v4 --seed_nb 1 --number_trajectories 1 --algorithm planner "
        "--optimiser_steps 2 --max_steps 30",
    ],
}
#: Entries of a JSON file about how it was made, which may change.
_OF_THE_RUN = ("command", "versions", "settings", "recipe")


def machine() -> dict[str, Any]:
    """Return what bits depend on: the processor's instructions, its cores, and the libraries."""
    return {
        "processor": sorted(name for name, there in __cpu_features__.items() if there),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
    }


def digest(array: np.ndarray) -> str:
    array = np.ascontiguousarray(array)
    return hashlib.sha256(f"{array.dtype.str}{array.shape}".encode() + array.tobytes()).hexdigest()[:16]


def _digests_of(path: Path) -> dict[str, str]:
    """Return the digest of each array of a file, or of a JSON file without the entries about how it was made."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return {name: digest(file[name]) for name in file.files if file[name].dtype.kind in "biuf"}
    if path.suffix == ".keras":
        found: dict[str, str] = {}
        with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as weights:

            def visit(name: str, item: Any) -> None:
                if isinstance(item, h5py.Dataset):
                    found[name] = digest(item[()])

            weights.visititems(visit)
        return found
    content = {name: value for name, value in json.loads(path.read_text()).items() if name not in _OF_THE_RUN}
    return {"": hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]}


def digests(environment: str, log: Path, checkout: Path = ROOT) -> dict[str, str]:
    """Run the command lines of an environment, and return the digests of what they wrote below `log`."""
    for words in RUNS[environment]:
        command = [sys.executable, "quantilizer.py", *words.split(), "--log_dir", str(log)]
        done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
        assert done.returncode == 0, f"{words}\n{done.stderr[-3000:]}"
    found = {}
    for folder in ("models", "rewards", "study", "fig"):
        for path in sorted((log / folder).rglob("*")):
            if path.suffix in (".npz", ".keras", ".json"):
                for name, value in _digests_of(path).items():
                    found[f"{path.relative_to(log).as_posix()} {name}".strip()] = value
    return found


def write(checkout: Path) -> None:
    """Add the digests of a checkout to those expected on this machine."""
    made = {}
    for environment in RUNS:
        with tempfile.TemporaryDirectory() as log:
            made[environment] = digests(environment, Path(log), checkout)
    known = json.loads(EXPECTED.read_text()) if EXPECTED.exists() else []
    known = [entry for entry in known if entry["machine"] != machine()]
    EXPECTED.write_text(json.dumps([*known, {"machine": machine(), "digests": made}], indent=0) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
