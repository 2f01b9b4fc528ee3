#!/usr/bin/env python3
"""Merge the recordings of one environment into one data set.

    python scripts/concatenate.py --path recordings/ --output_file log/MountainCar-v0/everyone.npz

Every episode keeps its seed, who played it and when (`seed`, `player`, `recorded_at`), and gets the name of the
file it comes from (`source_file`). Files are taken in the order of their names.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from quantilizers.demonstrations import Demonstrations
from quantilizers.errors import UserError
from quantilizers.files import data_files
from quantilizers.merging import concatenate
from quantilizers.programs import Parser, run_program
from quantilizers.sources.recognition import read_recording
from quantilizers.summary import spread, summarise


def merge(folder: Path, output: Path, *, force: bool = False) -> str:
    """Merge the npz files of a folder.

    Args:
        folder: where the recordings lie; the output, where it lies there too, is none of them.
        output: the file to write.
        force: replace the output.

    Returns:
        What was merged, for people.

    Raises:
        UserError: there is nothing to merge, a file is no data set, they are of several environments, two hold
            the same episode, or the output is there already.
    """
    if output.suffix != ".npz":
        raise UserError(f"--output_file {output} does not end in .npz")
    if output.exists() and not force:
        raise UserError(f"{output} is there already; --force replaces it")
    if not folder.is_dir():
        raise UserError(f"--path {folder} is no folder")
    files = [path for path in data_files(folder) if path.resolve() != output.resolve()]
    if not files:
        raise UserError(f"{folder} has no .npz file to merge")
    parts: list[Demonstrations] = []
    environment = None
    seen: dict[str, Path] = {}
    for path in files:
        try:
            found, part, notes = read_recording(path, path.resolve().parent.parts)
        except UserError as error:
            raise UserError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
        for note in notes:
            print(f"{path}: {note}")
        if environment is not None and found.name != environment.name:
            raise UserError(
                f"{files[0].name} is of {environment.name} and {path.name} of {found.name}; "
                "merge one environment at a time"
            )
        environment = found
        for key in set(_episode_keys(part)):
            if key in seen:
                raise UserError(f"{seen[key].name} and {path.name} hold the same episode; move one of them elsewhere")
            seen[key] = path
        parts.append(_with_source(part, path.name))
    assert environment is not None
    merged = concatenate(parts)
    merged.save(output)
    summary = summarise(merged, environment)
    return (
        f"wrote {output}: {summary.number:,} episodes of {environment.name} from {len(files)} files, "
        f"{int(summary.lengths.sum()):,} steps, true return {spread(summary.true_returns)}, "
        f"proxy return {spread(summary.proxy_returns)}"
    )


def _episode_keys(part: Demonstrations) -> Iterator[str]:
    """Yield a digest of each episode's observations and actions."""
    for index, length in enumerate(part.lengths):
        digest = hashlib.sha256()
        for array in (part.observations, part.actions):
            digest.update(array[index, :length].astype(np.float64).tobytes())
        yield digest.hexdigest()


def _with_source(part: Demonstrations, name: str) -> Demonstrations:
    """Note the file that episodes come from, unless they carry that already from an earlier merge."""
    earlier = part.extras.get("source_file", np.full(part.number, ""))
    return replace(part, extras={**part.extras, "source_file": np.where(earlier == "", name, earlier)})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""

    def work() -> None:
        parser = Parser("scripts/concatenate.py", description=__doc__)
        parser.add_argument("--path", type=Path, required=True, help="folder with the recordings, .npz files")
        parser.add_argument("--output_file", type=Path, required=True, help="the .npz file to write")
        parser.add_argument("--force", action="store_true", help="replace the output file if it is there")
        options = parser.parse_args(arguments)
        print(merge(options.path, options.output_file, force=options.force))

    return run_program("scripts/concatenate.py", work)


if __name__ == "__main__":
    sys.exit(main())
