"""Where things lie under `log/`, and how they are written."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from quantilizers.errors import UserError

LOG_DIRECTORY = Path(__file__).resolve().parent.parent / "log"


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to; rename it to `path` when the block ends well.

    A reader sees the old file or the new one, never half of one. The temporary file keeps the suffix, because
    many writers choose their format by it.

    Args:
        path: the file to write; its folder is made where it is missing.

    Raises:
        UserError: the folder or the file cannot be written.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        # mkstemp makes private files; results are meant to be as readable as any other file of the user's.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}; check its folder and free space") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def data_files(folder: Path) -> list[Path]:
    """Return the npz files of a folder that are not hidden, in the order of their names."""
    return sorted(path for path in folder.glob("*.npz") if not path.name.startswith("."))


def one_name(value: str, flag: str) -> str:
    """Return `value` if it is one plain file name, without folders.

    Raises:
        UserError: it is empty, hidden, or has a folder in it.
    """
    if not value or value.startswith(".") or Path(value).name != value or "\\" in value or "\0" in value:
        raise UserError(f"{flag} {value!r} is not a plain name; give a name without folders, such as demo")
    return value


@dataclass(frozen=True)
class Layout:
    """The places of one data set's files under `log/`.

    Attributes:
        log: the folder that holds everything.
        environment: the environment's name on the command line.
        dataset: the data set's name, without `.npz`.
        path: folder between the kind of file and its name, such as `run_42`; empty for none. `run_42` and
            `run_42/` are the same folder.

    Raises:
        UserError: the data set's name has a folder in it or is an optimiser's, or `path` leaves `log/`.
    """

    log: Path
    environment: str
    dataset: str
    path: str = ""

    def __post_init__(self) -> None:
        one_name(self.dataset, "--dataset_name")
        if self.dataset.partition("_")[0] == "optimiser":
            raise UserError(f"--dataset_name {self.dataset!r} would mix with the optimisers' files; give another name")
        for kind in ("models", "rewards", "fig", "train"):
            root = (self.log / kind).resolve()
            if "\0" in self.path or not (root / self.path).resolve().is_relative_to(root):
                raise UserError(f"--path {self.path!r} leaves {self.log}; give a folder name such as run_1")

    @property
    def data(self) -> Path:
        """The data set: an npz file, or the folder of the same name without `.npz`."""
        return self.log / self.environment / f"{self.dataset}.npz"

    @property
    def cache(self) -> Path:
        """The folder of what was computed from the data set and can be computed again."""
        return self.log / "cache" / self.environment / self.dataset

    @property
    def models(self) -> Path:
        """The folder of the trained policies."""
        return self.log / "models" / self.path

    def model(self, quantile: float, seed: int) -> Path:
        """The trained policy of one quantile and seed."""
        return self._in("models", f"{self.dataset}_{self.environment}_{quantile}_{seed}.keras")

    def rewards(self, seed: int) -> Path:
        """What testing the policies of one seed measured."""
        return self._in("rewards", f"{self.dataset}_{self.environment}_{seed}.npz")

    def optimiser_rewards(self, seed: int, variant: str = "") -> Path:
        """What testing the optimiser of one seed measured; the environment's first algorithm has no variant."""
        return self._in("rewards", f"optimiser_{variant + '_' if variant else ''}{self.environment}_{seed}.npz")

    def optimiser_agent(self, algorithm: str, seed: int) -> Path:
        """The optimiser of one seed: its checkpoint while it is trained, itself when it is."""
        return self._in("models", f"optimiser_{algorithm}_{self.environment}_{seed}.npz")

    def optimiser_events(self, algorithm: str, seed: int) -> Path:
        """The folder of TensorBoard event files of one optimiser's training."""
        return self._in("train", f"optimiser_{algorithm}_{self.environment}_{seed}")

    def optimiser_figure(self, algorithm: str) -> Path:
        """The figure of how an optimiser learned."""
        return self._in("fig", f"optimiser_{algorithm}_{self.environment}_learning.png")

    def figure(self, style: str) -> Path:
        """The figure of one plot style."""
        return self._in("fig", f"{self.dataset}_{self.environment}_{style}.png")

    def training_events(self, quantile: float, seed: int) -> Path:
        """The folder of TensorBoard event files of one policy's training."""
        return self._in("train", f"{self.dataset}_{self.environment}_{quantile}_{seed}")

    def _in(self, kind: str, name: str) -> Path:
        return self.log / kind / self.path / name
