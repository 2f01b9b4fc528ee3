#!/usr/bin/env python3
"""Make the demonstrations that ship with the project, from simulated players: log/<ENV>/demo.npz.

    python scripts/make_demo.py --env_name MountainCar-v0

The players of each environment are a file of `scripts/simulated_players/`. The same seed gives the same file, byte
for byte. More players of Mountain Car, for a study's `--resample players --players_from many`, are made by

    python scripts/make_demo.py --players 1000 --seed 1 --output log/MountainCar-v0/many.npz
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers.programs import Parser, require_libraries, run_program

require_libraries()

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names, module_name
from quantilizers.errors import UserError
from quantilizers.layout import Layout, log_directory
from quantilizers.numbers_in_words import short


def demonstrate(env_name: str, seed: int, number: int | None = None) -> Demonstrations:
    """Let the simulated players of an environment play.

    Args:
        env_name: its name.
        seed: of the players.
        number: of players, on Mountain Car; None is that of the data set that ships.

    Raises:
        UserError: there is no such environment, or it has no simulated players.
    """
    environment = load_environment(env_name)
    if environment.name not in environment_names():
        raise UserError(
            f"{environment.name} has no simulated players; those that do are {', '.join(environment_names())}"
        )
    players = importlib.import_module(f"simulated_players.{module_name(environment.name)}")
    if number is None:
        return Demonstrations(players.record(seed), environment)
    if environment.name != "MountainCar-v0" or number < 2:
        raise UserError("--players is for MountainCar-v0, and takes 2 or more; the others' players are all different")
    return Demonstrations(players.record(seed, number), environment)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""

    def work() -> None:
        parser = Parser("scripts/make_demo.py", description=__doc__)
        parser.add_argument(
            "--env_name", "--env_id", default="MountainCar-v0", help=f"one of {', '.join(environment_names())}"
        )
        parser.add_argument("--seed", type=int, default=0, help="of the simulated players (0)")
        parser.add_argument("--players", type=int, help="how many play, of evenly spread skill, on Mountain Car (50)")
        parser.add_argument("--output", type=Path, help="file to write (log/ENV_NAME/demo.npz)")
        options = parser.parse_args(arguments)
        if options.players is not None and options.output is None:
            raise UserError("--players needs --output, so that the data set that ships stays as it is")
        demonstrations = demonstrate(options.env_name, options.seed, options.players)
        path = options.output or Layout(log_directory(), demonstrations.environment.name, "demo").data
        demonstrations.episodes.save(path)
        print(
            f"{path}: {demonstrations.number} simulated episodes, {int(demonstrations.lengths.sum()):,} steps, "
            f"mean true return {short(demonstrations.true_returns.mean())}, "
            f"mean proxy return {short(demonstrations.proxy_returns.mean())}"
        )

    return run_program("scripts/make_demo.py", work)


if __name__ == "__main__":
    sys.exit(main())
