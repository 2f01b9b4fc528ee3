r"""Convert data sets to and from Minari, a common format of offline data.

    python -m quantilizers.commands.minari export \
        --env_name MountainCar-v0 --dataset_name demo
    python -m quantilizers.commands.minari import \
        --env_name MountainCar-v0 --dataset_name copy \
        --minari_id quantilizers/MountainCar-v0/demo-v0

`quantilizers.datasets.minari_bridge` documents which field becomes which.
Minari's local folder is MINARI_DATASETS_PATH, otherwise ~/.minari/datasets.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from quantilizers.choices import RECORDED_REWARDS
from quantilizers.commands.arguments import add_environment, add_log_dir
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.minari_bridge import export_dataset, import_dataset
from quantilizers.datasets.origins import check_origin, note_origin
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import load_environment
from quantilizers.errors import ExistsError, MissingError, UserError
from quantilizers.layout import Layout
from quantilizers.programs import Parser, call_of, run_program
from quantilizers.stages.settings import ways_to_demonstrations

PROGRAM = call_of("python -m quantilizers.commands.minari", "quantilizer-minari")


def build_parser() -> Parser:
    """Return the command line's parser."""
    parser = Parser(PROGRAM, description=__doc__)
    parser.add_argument("do", choices=("export", "import"), help="to Minari, or from it")
    add_environment(parser)
    parser.add_argument("--dataset_name", default="demo", help="name of LOG_DIR/ENV_NAME/DATASET_NAME.npz (demo)")
    parser.add_argument("--minari_id", help="Minari's name for it (quantilizers/ENV_NAME/DATASET_NAME-v0)")
    parser.add_argument(
        "--reward",
        choices=RECORDED_REWARDS,
        help="reward in a data set of Minari's that does not tell: true, proxy, or the environment's own",
    )
    parser.add_argument("--author", help="author to note in Minari's data set (nobody)")
    parser.add_argument("--code", metavar="URL", help="address of the code to note in Minari's data set (none)")
    parser.add_argument("--force", action="store_true", help="replace what is there")
    add_log_dir(parser)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    return run_program("minari", lambda: _convert(build_parser().parse_args(arguments)))


def _convert(options: argparse.Namespace) -> None:
    try:
        print(_export(options) if options.do == "export" else _import(options))
    except ExistsError as error:
        raise UserError(f"{error}; --force replaces it") from None


def _export(options: argparse.Namespace) -> str:
    environment, layout, minari_id = _names_of(options)
    if options.reward is not None:
        raise UserError(
            "--reward says which reward an imported data set contains; an exported one has the true rewards"
        )
    try:
        demonstrations = Demonstrations.find(layout, environment)
    except MissingError as error:
        raise UserError(f"{error}; {ways_to_demonstrations(environment, layout)}") from None
    export_dataset(demonstrations, minari_id, author=options.author, code=options.code, force=options.force)
    return f"wrote Minari's {minari_id}: minari show {minari_id}"


def _import(options: argparse.Namespace) -> str:
    environment, layout, minari_id = _names_of(options)
    if options.author is not None or options.code is not None:
        raise UserError("--author and --code are noted in Minari's data sets, so they go with export alone")
    if layout.data.exists() and not options.force:
        raise ExistsError(f"{layout.data} is there already")
    check_origin(layout, environment)
    try:
        demonstrations = import_dataset(minari_id, environment, reward=options.reward)
    except MissingError as error:
        raise UserError(f"{error}; see minari list local, or minari download {minari_id}") from None
    demonstrations.episodes.save(layout.data)
    note_origin(layout, environment)
    return f"wrote {layout.data}"


def _names_of(options: argparse.Namespace) -> tuple[EnvironmentDefinition, Layout, str]:
    """Return the environment, the data set's files, and Minari's id of the data set."""
    environment = load_environment(options.env_name)
    layout = Layout(options.log_dir, environment.name, options.dataset_name)
    return environment, layout, options.minari_id or f"quantilizers/{environment.name}/{options.dataset_name}-v0"


if __name__ == "__main__":
    sys.exit(main())
