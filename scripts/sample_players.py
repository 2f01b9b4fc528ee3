#!/usr/bin/env python3
"""Sample the base distribution of the demonstrations that ship: log/base/demo_<ENV>.npz.

    python scripts/sample_players.py --env_name MountainCar-v0

The simulated players of `scripts/simulated_players/` play many more episodes than the data set has. The file has true
return, proxy return, length and player of each. `--plotstyle frontier` then draws the exact quantilizer of the base
distribution instead of that of the demonstrations. The same seed gives the same file, byte for byte.

In Mountain Car the start matters, and an agent is given its start: players drawn at random play as many episodes from
each of 200 starts, and the exact quantilizer selects within a start. Hopper's starts differ by a few thousandths, and
every episode has its own.

Hopper's players practise for 6 to 7 minutes to reach the skills of the data set. The skills are stored in
`scripts/simulated_players/hopper_skills.npz`; `--practise` computes them again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers.programs import Parser, require_libraries, run_program

require_libraries()

import numpy as np

from quantilizers.choices import check_choice
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.registry import load_environment
from quantilizers.errors import UserError
from quantilizers.layout import Layout, log_directory
from quantilizers.numbers_in_words import short
from quantilizers.studies.base_distribution import BaseDistribution
from quantilizers.versions import versions
from simulated_players import players_of

#: Default numbers of episodes, for the environments whose players can be sampled.
EPISODES = {"MountainCar-v0": 150_000, "Hopper-v2": 5_000}
#: Default numbers of starts, for the environments in which starts matter.
STARTS = {"MountainCar-v0": 200}


def sample(env_name: str, episodes: int, seed: int, starts: int | None = None) -> BaseDistribution:
    """Sample episodes of the simulated players of one of `EPISODES`, as many from each of some starts, if given."""
    environment = load_environment(env_name)
    # Other random streams than that of the data set.
    generator = np.random.default_rng([1 if starts is None else 2, seed])
    players = players_of(environment)
    sampled = (
        [players.sample(episodes, generator)]
        if starts is None
        else players.sample_starts(starts, episodes // starts, generator)
    )
    command = f"python scripts/sample_players.py --env_name {env_name} --episodes {episodes} --seed {seed}"
    return BaseDistribution.of_episodes(
        (Demonstrations(some, environment) for some in sampled),
        Demonstrations.load("demo", environment),
        "simulated players",
        seed,
        json.dumps({
            "command": command if starts is None else f"{command} --starts {starts}",
            "versions": versions(),
        }),
        within_starts=starts is not None,
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""

    def work() -> None:
        parser = Parser("scripts/sample_players.py", description=__doc__)
        parser.add_argument("--env_name", default="MountainCar-v0", help=f"one of {', '.join(EPISODES)}")
        parser.add_argument(
            "--episodes", type=int, help="number of episodes (150,000 of Mountain Car, 5,000 of Hopper)"
        )
        parser.add_argument(
            "--starts", type=int, help="number of starts, with as many episodes each (200 of Mountain Car)"
        )
        parser.add_argument("--seed", type=int, default=0, help="of all random numbers (0)")
        parser.add_argument("--output", type=Path, help="file to write (log/base/demo_ENV_NAME.npz)")
        parser.add_argument("--practise", action="store_true", help="first compute the skills of Hopper's players")
        options = parser.parse_args(arguments)
        check_choice("--env_name", options.env_name, EPISODES)
        episodes = EPISODES[options.env_name] if options.episodes is None else options.episodes
        if episodes < 1 or options.seed < 0:
            raise UserError("--episodes must be at least 1, and --seed at least 0")
        starts = STARTS.get(options.env_name) if options.starts is None else options.starts
        if options.starts is not None and options.env_name not in STARTS:
            raise UserError(f"--starts is for {', '.join(STARTS)}; starts of {options.env_name} hardly differ")
        if starts is not None and (starts < 1 or episodes % starts):
            raise UserError(f"--starts {starts} does not divide {episodes:,} episodes; each start has as many")
        if options.practise:
            players = players_of(load_environment(options.env_name))
            if not hasattr(players, "save_skills"):
                raise UserError("--practise is for Hopper-v2; the other players do not practise")
            players.save_skills()
        base = sample(options.env_name, episodes, options.seed, starts)
        path = options.output or Layout(log_directory(), options.env_name, "demo").base
        base.save(path)
        print(
            f"{path}: {base.title}, {int(base.lengths.sum()):,} steps, mean true return "
            f"{short(base.true_returns.mean())}, mean proxy return {short(base.proxy_returns.mean())}"
        )

    return run_program("scripts/sample_players.py", work)


if __name__ == "__main__":
    sys.exit(main())
