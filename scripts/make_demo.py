#!/usr/bin/env python3
"""Make the demonstrations that ship with the project, from simulated players: log/<ENV>/demo.npz.

    python scripts/make_demo.py --env_name MountainCar-v0

The same seed gives the same file, byte for byte.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from quantilizers.envs import environment_names, load_environment, module_name  # noqa: E402
from quantilizers.files import LOG_DIRECTORY  # noqa: E402
from quantilizers.programs import Parser, run_program  # noqa: E402


def main() -> int:
    """Run the command line; return the exit code."""

    def work() -> None:
        parser = Parser("scripts/make_demo.py", description=__doc__)
        parser.add_argument("--env_name", default="MountainCar-v0", help=f"one of {', '.join(environment_names())}")
        parser.add_argument("--seed", type=int, default=0, help="of the simulated players (0)")
        parser.add_argument("--output", type=Path, help="file to write (log/ENV_NAME/demo.npz)")
        options = parser.parse_args()
        environment = load_environment(options.env_name)
        players = importlib.import_module(f"simulated_{module_name(environment.name)}_players")
        demonstrations = players.record(options.seed)
        path = options.output or LOG_DIRECTORY / environment.name / "demo.npz"
        demonstrations.save(path)
        proxy_returns = environment.proxy_rewards(demonstrations).sum(axis=1)
        print(
            f"{path}: {demonstrations.number} simulated episodes, {int(demonstrations.lengths.sum()):,} steps, "
            f"true return {demonstrations.true_returns.mean():.2f}, proxy return {proxy_returns.mean():.2f} in the mean"
        )

    return run_program("scripts/make_demo.py", work)


if __name__ == "__main__":
    sys.exit(main())
