r"""Data sets to and from Minari, so that every library that reads Minari reads people's play recorded here.

    python -m quantilizers.commands.minari export --env_name MountainCar-v0 --dataset_name demo
    python -m quantilizers.commands.minari import --env_name MountainCar-v0 --dataset_name copy \
        --minari_id quantilizers/MountainCar-v0/demo-v0

`quantilizers.datasets.minari_bridge` says what of Minari stands for what. Minari's local folder is
MINARI_DATASETS_PATH, otherwise ~/.minari/datasets.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.minari_bridge import export_dataset, import_dataset
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.errors import ExistsError, MissingError, UserError
from quantilizers.layout import Layout, log_directory
from quantilizers.programs import Parser, call_of, run_program

PROGRAM = call_of("python -m quantilizers.commands.minari", "quantilizer-minari")

LOAD_DATA = call_of("scripts/load_data.sh", "quantilizer-data")
RECORD = call_of("play/gather_data.py", "quantilizer-record")


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    arguments = Parser(PROGRAM, description=__doc__)
    arguments.add_argument("do", choices=("export", "import"), help="to Minari, or from it")
    arguments.add_argument(
        "--env_name",
        "--env_id",
        dest="env_name",
        default="MountainCar-v0",
        help=f"one of {', '.join(environment_names())}, or one of your own, such as my_env.py:ENVIRONMENT",
    )
    arguments.add_argument("--dataset_name", default="demo", help="the name of LOG_DIR/ENV_NAME/DATASET_NAME.npz")
    arguments.add_argument("--minari_id", help="Minari's name for it (quantilizers/ENV_NAME/DATASET_NAME-v0)")
    arguments.add_argument("--author", help="who made the data set, to note in Minari's (nobody)")
    arguments.add_argument(
        "--code", metavar="URL", help="where the code is that made it, to note in Minari's (nowhere)"
    )
    arguments.add_argument("--force", action="store_true", help="replace what is there")
    arguments.add_argument(
        "--log_dir", type=Path, default=log_directory(), help="folder of data and results (%(default)s)"
    )
    return arguments


def _carry(options: argparse.Namespace) -> str:
    """Do what the command line says; return what was done."""
    environment = load_environment(options.env_name)
    layout = Layout(options.log_dir, environment.name, options.dataset_name)
    minari_id = options.minari_id or f"quantilizers/{environment.name}/{options.dataset_name}-v0"
    if options.do == "export":
        try:
            demonstrations = Demonstrations.find(layout, environment)
        except MissingError as error:
            raise UserError(f"{error}; bring people's play in with {LOAD_DATA}, or record some with {RECORD}") from None
        export_dataset(demonstrations, minari_id, author=options.author, code=options.code, force=options.force)
        return f"wrote Minari's {minari_id}: minari show {minari_id}"
    if options.author is not None or options.code is not None:
        raise UserError("--author and --code are noted in Minari's data sets, so they go with export alone")
    if layout.data.exists() and not options.force:
        raise ExistsError(f"{layout.data} is there already")
    try:
        demonstrations = import_dataset(minari_id, environment)
    except MissingError as error:
        raise UserError(f"{error}; see minari list local, or minari download {minari_id}") from None
    demonstrations.episodes.save(layout.data)
    return f"wrote {layout.data}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes the process's own.

    Returns:
        The exit code.
    """

    def work() -> None:
        options = parser().parse_args(arguments)
        try:
            print(_carry(options))
        except ExistsError as error:
            raise UserError(f"{error}; --force replaces it") from None

    return run_program("minari", work)


def console() -> int:
    """Run what an installed package calls `quantilizer-minari`; return the exit code."""
    return main()


if __name__ == "__main__":
    sys.exit(main())
