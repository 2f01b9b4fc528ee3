#!/usr/bin/env python3
"""Map where quantilizing helps, with simulated players: number of demonstrations × skill × q.

    python scripts/map_selection.py --env_name MountainCar-v0 Hopper-v2

writes `log/fig/selection_map_ENV.png` and beside it the numbers as `.json`. Each cell draws demonstrations of players
of a range of skill several times, and each time trains a policy of the top q and one of as many random episodes
(`quantilizers/studies/selection_map.py`). Stopped, it goes on: each draw's results are kept in `log/map/`. With
`--workers` or `--scheduler` others do the work, and the numbers are the same bits.

The grids were fixed before anything was measured:

| | Mountain Car | Hopper |
|---|---|---|
| demonstrations | 30, 60, 120, 240 | 40, 80, 160 |
| skill | lowest, middle and highest third; all | first, middle and last two of six days of practice; all |
| q | 0.5, 0.25, 0.1 | 0.5, 0.25, 0.125 |
| draws of each cell | 10 | 8 |
| test episodes of each policy | 100 | 50 |

Policies have the reference implementation's hyper-parameters and its budget of passes over the data.
"""

from __future__ import annotations

import importlib
import math
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers.programs import Parser, require_libraries, run_program

require_libraries()

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.registry import load_environment
from quantilizers.envs.shipped import module_name
from quantilizers.errors import UserError
from quantilizers.execution.units import Executor
from quantilizers.figures.effect_map import Panel, draw_effect_map, panel_numbers
from quantilizers.figures.style import save_figure
from quantilizers.layout import log_directory
from quantilizers.numbers_in_words import counted
from quantilizers.policies.policy import acting_of, training_of
from quantilizers.stages.executing import executor_by
from quantilizers.stages.flags import add_executor_flags, check_executor_flags
from quantilizers.studies.controls import Protocol
from quantilizers.studies.selection_map import Grid, SelectionMap, Skill, draw_map

GRIDS = {
    "MountainCar-v0": Grid(
        numbers=(30, 60, 120, 240),
        skills=(
            Skill("lowest third", 0.0, 1 / 3),
            Skill("middle third", 1 / 3, 2 / 3),
            Skill("highest third", 2 / 3, 1.0),
            Skill("all", 0.0, 1.0),
        ),
        quantiles=(0.5, 0.25, 0.1),
        draws=10,
    ),
    "Hopper-v2": Grid(
        numbers=(40, 80, 160),
        skills=(
            Skill("first two days", 0.0, 0.2),
            Skill("middle two days", 0.4, 0.6),
            Skill("last two days", 0.8, 1.0),
            Skill("all six days", 0.0, 1.0),
        ),
        quantiles=(0.5, 0.25, 0.125),
        draws=8,
    ),
}
TEST_EPISODES = {"MountainCar-v0": 100, "Hopper-v2": 50}


def map_of(env_name: str, grid: Grid, protocol: Protocol, folder: Path, executor: Executor | None) -> SelectionMap:
    """Draw the map of one environment, or go on with it.

    Args:
        env_name: one of `GRIDS`.
        grid: what to draw.
        protocol: how policies are trained and tested.
        folder: where results are kept.
        executor: which does the work; None is this process.
    """
    environment = load_environment(env_name)
    players = importlib.import_module(f"simulated_players.{module_name(environment.name)}")

    def sample(number: int, generator: np.random.Generator, low: float, high: float) -> Demonstrations:
        return Demonstrations(players.sample(number, generator, low, high), environment)

    total = len(grid.cells) * grid.draws
    with tqdm(total=total, desc=f"map of {env_name}", unit="draw", dynamic_ncols=True) as bar:

        def told(words: str) -> None:
            bar.set_postfix_str(words, refresh=False)
            bar.update()

        return draw_map(sample, grid, protocol, folder, told, executor)


def panels(found: SelectionMap) -> tuple[Panel, list[Panel], list[Panel]]:
    """Return the panels of the figure: the correlation, and for each q the kept episodes and the policies."""
    rank = found.bounds([cell.spearman for cell in found.cells])
    kept, policies = [], []
    for place, quantile in enumerate(found.grid.quantiles):
        effects = [cell.effects[place] for cell in found.cells]
        of_kept = found.bounds([effect.kept.interval for effect in effects])
        of_policies = found.bounds([effect.policies.interval for effect in effects])
        decided = found.array([effect.decision != "undecided" for effect in effects]) > 0
        kept.append(Panel(f"kept episodes, q = {quantile:g}", of_kept, away_from_0(of_kept)))
        policies.append(Panel(f"policies, q = {quantile:g}", of_policies, decided))
    return Panel("proxy and true return", rank, away_from_0(rank)), kept, policies


def away_from_0(bounds: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return which intervals (3, …) do not hold 0."""
    away: npt.NDArray[np.bool_] = (bounds[1] > 0) | (bounds[2] < 0)
    return away


def summary(found: SelectionMap) -> str:
    """Return what the map says in a few lines."""
    effects = [(cell, effect) for cell in found.cells for effect in cell.effects]
    decisions = [effect.decision for _, effect in effects]
    above = sum(effect.policies.estimate > 0 for _, effect in effects)
    lines = [
        f"{counted(len(effects), 'cell')}; policies of the top earn more than those of random episodes in "
        f"{decisions.count('supported')}, less in {decisions.count('contradicted')} (after Holm's correction); the "
        f"estimate is above 0 in {above}"
    ]
    rank = np.array([cell.spearman.estimate for cell, _ in effects])
    known = np.isfinite(rank)
    for words, earned in (
        ("what the kept episodes earn more", np.array([effect.kept.estimate for _, effect in effects])),
        ("what their policies earn more", np.array([effect.policies.estimate for _, effect in effects])),
    ):
        if known.sum() < 3 or np.ptp(rank[known]) == 0 or np.ptp(earned[known]) == 0:
            continue
        with_rank = np.corrcoef(rank[known], earned[known])[0, 1]
        lines.append(f"over the cells, {words} correlates by {with_rank:.2f} with the rank correlation")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)

    def work() -> None:
        parser = Parser("scripts/map_selection.py", description=__doc__)
        parser.add_argument("--env_name", nargs="+", default=list(GRIDS), help=f"one or more of {', '.join(GRIDS)}")
        parser.add_argument("--log_dir", type=Path, default=log_directory(), help="folder of results (log/)")
        add_executor_flags(parser)
        options = parser.parse_args(words)
        unknown = [name for name in options.env_name if name not in GRIDS]
        if unknown:
            raise UserError(f"--env_name is {unknown[0]!r}; there are maps of {' and '.join(GRIDS)}")
        workers, scheduler = (vars(options).get(name) for name in ("workers", "scheduler"))
        check_executor_flags(workers, scheduler)
        # Hours, on any machine.
        with executor_by(workers, scheduler, seconds=math.inf) as executor:
            for name in options.env_name:
                draw(name, options.log_dir, words, executor)

    return run_program("scripts/map_selection.py", work)


def draw(env_name: str, log: Path, words: Sequence[str], executor: Executor | None) -> None:
    """Draw the map of one environment, print what it says, and write figure and numbers."""
    environment, grid, began = load_environment(env_name), GRIDS[env_name], time.monotonic()
    protocol = Protocol(
        seeds=(0,),
        training=training_of(environment, {}),
        acting=acting_of(environment),
        episodes=TEST_EPISODES[env_name],
        max_steps=environment.max_steps,
        options=dict(environment.options),
    )
    found = map_of(env_name, grid, protocol, log / "map" / env_name, executor)
    correlation, kept, policies = panels(found)
    title = (
        f"{environment.name}, simulated players; means over {grid.draws} draws of the demonstrations\n"
        "* policies: significant after Holm's correction over the map; elsewhere the 95 % interval does not hold 0"
    )
    figure = draw_effect_map(
        correlation, kept, policies, [skill.name for skill in grid.skills], grid.numbers, title, "true return"
    )
    path = log / "fig" / f"selection_map_{environment.name}.png"
    record = {"command": shlex.join(["python", "scripts/map_selection.py", *words]), "environment": environment.name}
    numbers = {
        **found.as_numbers(),
        "test_episodes": protocol.episodes,
        "panels": [panel_numbers(panel) for panel in (correlation, *kept, *policies)],
    }
    save_figure(figure, path, record, numbers)
    print(f"{environment.name}: {summary(found)}\ndrew {path} ({(time.monotonic() - began) / 60:.1f} minutes)")


if __name__ == "__main__":
    sys.exit(main())
