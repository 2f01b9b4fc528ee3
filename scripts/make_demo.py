#!/usr/bin/env python3
"""Make the demonstrations that ship with the project, from simulated players: log/<ENV>/demo.npz.

    python scripts/make_demo.py --env_name MountainCar-v0

The players of each environment are in a file of `scripts/simulated_players/`. The same seed gives the same file, byte
for byte. For a study's `--resample players --players_from many`, this makes more players of Mountain Car:

    python scripts/make_demo.py --players 1000 --seed 1 --output log/MountainCar-v0/many.npz

`--population` makes players of Mountain Car who are slow, only good or only poor.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers.programs import Parser, require_libraries, run_program

require_libraries()

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import environment_names
from quantilizers.errors import UserError
from quantilizers.layout import Layout, log_directory
from quantilizers.numbers_in_words import short
from simulated_players import mountain_car, players_of


def demonstrate(env_name: str, seed: int, number: int | None = None, population: str | None = None) -> Demonstrations:
    """Return episodes of the simulated players of an environment; None takes as many players as the shipped data set.

    `population` is one of Mountain Car's; None takes the shipped data set's.

    Raises:
        UserError: the environment has no simulated players or not this population, or their number is fixed or too
            small.
    """
    environment = load_environment(env_name)
    players = players_of(environment)
    if population is not None:
        if players is not mountain_car:
            raise UserError(f"--population is for MountainCar-v0; the players of {env_name} are fixed")
        number = mountain_car.PLAYERS if number is None else number
    if number is None:
        return Demonstrations(players.record(seed), environment)
    if players is not mountain_car:
        raise UserError("--players is for MountainCar-v0; the players of other environments are fixed")
    if number < 2:
        raise UserError(f"--players is {number}; give at least 2")
    chosen = mountain_car.POPULATIONS["shipped" if population is None else population]
    return Demonstrations(mountain_car.record(seed, number, chosen), environment)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""

    def work() -> None:
        parser = Parser("scripts/make_demo.py", description=__doc__)
        parser.add_argument(
            "--env_name", "--env_id", default="MountainCar-v0", help=f"one of {', '.join(environment_names())}"
        )
        parser.add_argument("--seed", type=int, default=0, help="of the simulated players (0)")
        parser.add_argument(
            "--players", type=int, help="number of players, Mountain Car only; skill is evenly spread (50)"
        )
        parser.add_argument(
            "--population",
            choices=tuple(mountain_car.POPULATIONS),
            help="kind of players, Mountain Car only (shipped)",
        )
        parser.add_argument("--output", type=Path, help="file to write (log/ENV_NAME/demo.npz)")
        options = parser.parse_args(arguments)
        for flag, given in (("--players", options.players), ("--population", options.population)):
            if given is not None and options.output is None:
                raise UserError(f"{flag} needs --output, because the shipped data set must not change")
        demonstrations = demonstrate(options.env_name, options.seed, options.players, options.population)
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
