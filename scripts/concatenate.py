#!/usr/bin/env python3
"""Merge the recordings of one environment into one data set.

    python scripts/concatenate.py --path recordings/ --output_file log/MountainCar-v0/everyone.npz

Every episode keeps its seed, player and time (`seed`, `player`, `recorded_at`), and gets the name of its file
(`source_file`). Files are merged in the order of their names.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers.programs import Parser, require_libraries, run_program

require_libraries()

import numpy as np

from quantilizers.datasets.bringing_in import read_demonstrations
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.summary import summarise
from quantilizers.demonstrations.episodes import Episodes, concatenate
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.errors import UserError
from quantilizers.files import data_files
from quantilizers.numbers_in_words import spread


def merge(folder: Path, output: Path, *, environment: EnvironmentDefinition | None = None, force: bool = False) -> str:
    """Merge the npz files of a folder.

    Args:
        folder: with the recordings; the output is not one of them.
        output: the file to write.
        environment: of the recordings; None finds it from the files.
        force: replace an existing output.

    Returns:
        A summary for the terminal.

    Raises:
        UserError: there is nothing to merge, a file is not a data set, the files are of several environments, two have
            the same episode, or the output exists.
    """
    if output.suffix != ".npz":
        raise UserError(f"--output_file {output} must end in .npz")
    if output.exists() and not force:
        raise UserError(f"{output} exists; --force replaces it")
    if not folder.is_dir():
        raise UserError(f"--path {folder} is not a folder")
    files = [path for path in data_files(folder) if path.resolve() != output.resolve()]
    if not files:
        raise UserError(f"{folder} has no .npz file to merge")
    parts: list[Demonstrations] = []
    seen: dict[str, Path] = {}
    for path in files:
        part = _read(path, environment)
        if parts and part.environment.name != parts[0].environment.name:
            raise UserError(
                f"{files[0].name} is of {parts[0].environment.name} and {path.name} of {part.environment.name}; "
                "merge one environment at a time"
            )
        for key in set(_episode_keys(part.episodes)):
            if key in seen:
                raise UserError(f"{seen[key].name} and {path.name} hold the same episode; move one of them elsewhere")
            seen[key] = path
        parts.append(part)
    sources = [_with_source(part.episodes, path.name) for part, path in zip(parts, files, strict=True)]
    merged = Demonstrations(concatenate(sources), parts[0].environment)
    for key in dict.fromkeys(key for part in sources for key in part.extras):
        if key not in merged.episodes.extras:
            print(f"{key} was left out because some of the files do not have it")
    summary = summarise(merged)
    merged.episodes.save(output)
    return (
        f"wrote {output}: {summary.number:,} episodes of {merged.environment.name} from {len(files)} files, "
        f"{int(summary.lengths.sum()):,} steps, true return {spread(summary.true_returns)}, "
        f"proxy return {spread(summary.proxy_returns)}"
    )


def _read(path: Path, environment: EnvironmentDefinition | None) -> Demonstrations:
    try:
        part, notes = read_demonstrations(
            path, path.resolve().parent.parts, None if environment is None else [environment]
        )
    except UserError as error:
        raise UserError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    for note in notes:
        print(f"{path}: {note}")
    return part


def _episode_keys(part: Episodes) -> Iterator[str]:
    """Yield a digest of each episode's observations and actions."""
    for index, length in enumerate(part.lengths):
        digest = hashlib.sha256()
        for array in (part.observations, part.actions):
            digest.update(array[index, :length].astype(np.float64).tobytes())
        yield digest.hexdigest()


def _with_source(part: Episodes, name: str) -> Episodes:
    """Add `source_file`, unless episodes have it from an earlier merge."""
    earlier = part.extras.get("source_file", np.full(part.number, ""))
    return replace(part, extras={**part.extras, "source_file": np.where(earlier == "", name, earlier)})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""

    def work() -> None:
        parser = Parser("scripts/concatenate.py", description=__doc__)
        parser.add_argument("--path", type=Path, required=True, help="folder with the recordings, .npz files")
        parser.add_argument("--output_file", type=Path, required=True, help="the .npz file to write")
        parser.add_argument(
            "--env_name",
            "--env_id",
            dest="env_name",
            help="environment of the recordings, or one of your own, such as my_env.py:ENVIRONMENT "
            f"(found from the files, among {', '.join(environment_names())})",
        )
        parser.add_argument("--force", action="store_true", help="replace the output file if it exists")
        options = parser.parse_args(arguments)
        environment = None if options.env_name is None else load_environment(options.env_name)
        print(merge(options.path, options.output_file, environment=environment, force=options.force))

    return run_program("scripts/concatenate.py", work)


if __name__ == "__main__":
    sys.exit(main())
