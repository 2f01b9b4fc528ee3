#!/usr/bin/env python3
"""Map where selection helps, with simulated players: number of demonstrations × skill × q.

    python scripts/map_selection.py --env_name MountainCar-v0 Hopper-v2

writes `log/fig/selection_map_ENV.png` and the numbers beside it as `.json`. Each cell draws demonstrations several
times. Each draw trains one policy of the top q and one of equally many random episodes, with the same seed; their
difference is the selection effect. Draws are independent, so Student's t over draws covers players, starts and seeds.
Holm's correction covers all cells of a map. Results of each draw are kept in `log/map/`, and a stopped map continues.
`--workers` and `--scheduler` give the same bits.

The grids were fixed before anything was measured:

| | Mountain Car | Hopper |
|---|---|---|
| demonstrations | 30, 60, 120, 240 | 40, 80, 160 |
| skill | lowest, middle and highest third; all | first, middle and last two of six days of practice; all |
| q | 0.5, 0.25, 0.1 | 0.5, 0.25, 0.125 |
| draws of each cell | 10 | 8 |
| test episodes of each policy | 100 | 50 |

Policies have the reference implementation's hyper-parameters and its number of passes over the data.
"""

from __future__ import annotations

import math
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers.choices import check_choice
from quantilizers.programs import Parser, require_libraries, run_program

require_libraries()

import numpy as np
import numpy.typing as npt
from scipy import stats
from tqdm import tqdm

from effect_map import EffectPanel, draw_effect_map, panel_numbers
from quantilizers.commands.command_line import add_settings
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.registry import load_environment
from quantilizers.evaluation.comparisons import Difference
from quantilizers.evaluation.intervals import Interval, student
from quantilizers.evaluation.verdicts import Claim, Decision, judge
from quantilizers.execution.executor import Executor, InProcess
from quantilizers.execution.worker_processes import executor_for
from quantilizers.figures.style import save_figure
from quantilizers.layout import log_directory
from quantilizers.numbers_in_words import counted
from quantilizers.policies.policy import acting_of, training_of
from quantilizers.processors import available_cores
from quantilizers.rewards import FloatArray
from quantilizers.stages.settings import check_workers
from quantilizers.studies.controls import Arm, Protocol
from quantilizers.studies.players import Rerun, kept_difference, policies_difference, rerun
from simulated_players import players_of

#: Draws N demonstrations of players within a range of skill: N, generator, lowest and highest skill from 0 to 1.
Sample = Callable[[int, np.random.Generator, float, float], Demonstrations]
#: Seeds the random stream from which players are drawn.
_STREAM = 0x6D6170


@dataclass(frozen=True)
class Skill:
    """A range of skill from 0, the least skilled player, to 1, the most skilled, with its name in the figure."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class Grid:
    """The cells of a map, all quantiles below 1, and the number of draws in each cell, at least 2."""

    numbers: tuple[int, ...]
    skills: tuple[Skill, ...]
    quantiles: tuple[float, ...]
    draws: int

    @property
    def cells(self) -> list[tuple[int, Skill]]:
        """All pairs of a number of demonstrations and a skill, skill by skill."""
        return [(number, skill) for skill in self.skills for number in self.numbers]


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


@dataclass(frozen=True)
class Effect:
    """The selection effect in one cell at one q."""

    quantile: float
    policies: Difference  # true return of policies of the top episodes minus that of random ones, over draws
    decision: Decision  # whether the effect is above 0; "supported" and "contradicted" are significant
    adjusted_p: float  # Holm's, over the whole map
    kept: Difference  # true return of the selected episodes minus that of all episodes, over draws


@dataclass(frozen=True)
class Cell:
    """One number of demonstrations and one skill."""

    number: int  # of demonstrations
    skill: Skill  # of the players
    spearman: Interval  # rank correlation of proxy and true return, over draws; NaN where a return never varies
    pearson: Interval  # the linear correlation
    true_return: float  # mean of all demonstrations
    effects: tuple[Effect, ...]  # one for each q


@dataclass(frozen=True)
class SelectionMap:
    """All cells of a grid, skill by skill."""

    grid: Grid
    cells: tuple[Cell, ...]

    def array(self, values: Sequence[float]) -> FloatArray:
        """Arrange one number per cell as (skills, numbers)."""
        return np.array(values, dtype=np.float64).reshape(len(self.grid.skills), len(self.grid.numbers))

    def bounds(self, intervals: Sequence[Interval]) -> FloatArray:
        """Arrange estimates, lower and upper ends as (3, skills, numbers)."""
        return np.stack([self.array([getattr(one, name) for one in intervals]) for name in ("estimate", "low", "high")])

    def as_numbers(self) -> dict[str, Any]:
        """Return the map as JSON values; non-finite numbers become None."""
        return {
            "draws": self.grid.draws,
            "cells": [
                {
                    "demonstrations": cell.number,
                    "skill": {"name": cell.skill.name, "low": cell.skill.low, "high": cell.skill.high},
                    "spearman": _interval(cell.spearman),
                    "pearson": _interval(cell.pearson),
                    "true_return": cell.true_return,
                    "effects": [
                        {
                            "quantile": effect.quantile,
                            "policies": _interval(effect.policies.interval),
                            "p": _plain(effect.policies.p),
                            "adjusted_p": _plain(effect.adjusted_p),
                            "decision": effect.decision,
                            "kept": _interval(effect.kept.interval),
                        }
                        for effect in cell.effects
                    ],
                }
                for cell in self.cells
            ],
        }


def draw_map(
    sample: Sample,
    grid: Grid,
    protocol: Protocol,
    folder: Path | None = None,
    on_draw: Callable[[str], object] | None = None,
    executor: Executor | None = None,
) -> SelectionMap:
    """Train and test the policies of every cell; the protocol's seeds are not used.

    The folder keeps the results of each draw, from which a stopped map continues. `on_draw` is called after each draw
    with the name of its cell.
    """
    arms = [Arm(quantile, "top", 0, "epochs") for quantile in grid.quantiles]
    arms += [Arm(quantile, "random", 0, "epochs") for quantile in grid.quantiles]
    executor = executor or InProcess(available_cores())
    runs: list[list[Rerun]] = []
    for place, (number, skill) in enumerate(grid.cells):

        def draw(run: int, place: int = place, number: int = number, skill: Skill = skill) -> Demonstrations:
            return sample(number, np.random.default_rng([_STREAM, place, run]), skill.low, skill.high)

        def told(run: int, words: str = f"{counted(number, 'demonstration')}, {skill.name}") -> None:
            if on_draw is not None:
                on_draw(words)

        kept_in = None if folder is None else folder / f"{skill.low:g}_{skill.high:g}_{number}"
        runs.append(rerun(draw, grid.draws, arms, protocol, executor, kept_in, told))
    return summarise_map(grid, runs)


def summarise_map(grid: Grid, runs: Sequence[Sequence[Rerun]]) -> SelectionMap:
    """Summarise the draws of all cells, each with an arm `top` and an arm `random` for each q."""
    pairs = [(cell, quantile) for cell in range(len(grid.cells)) for quantile in grid.quantiles]
    claims = [
        Claim(
            f"policies of the top {quantile:g}",
            "policies of as many random episodes",
            policies_difference(runs[cell], Arm(quantile, "top", 0, "epochs"), Arm(quantile, "random", 0, "epochs")),
        )
        for cell, quantile in pairs
    ]
    effects: dict[int, list[Effect]] = {}
    for (cell, quantile), verdict in zip(pairs, judge(claims), strict=True):
        kept = kept_difference(runs[cell], Arm(quantile, "top", 0, "epochs"))
        effects.setdefault(cell, []).append(
            Effect(quantile, verdict.claim.difference, verdict.decision, verdict.adjusted_p, kept)
        )
    cells = []
    for place, (number, skill) in enumerate(grid.cells):
        of_draws = [_correlations(run) for run in runs[place]]
        spearman, pearson = (_over_draws([pair[kind] for pair in of_draws]) for kind in (0, 1))
        true_return = float(np.mean([run.true_returns.mean() for run in runs[place]]))
        cells.append(Cell(number, skill, spearman, pearson, true_return, tuple(effects[place])))
    return SelectionMap(grid, tuple(cells))


def _correlations(run: Rerun) -> tuple[float, float]:
    """Return Spearman's and Pearson's correlation; NaN where a return does not vary."""
    if np.ptp(run.true_returns) == 0 or np.ptp(run.proxy_returns) == 0:
        return np.nan, np.nan
    ranked = stats.spearmanr(run.proxy_returns, run.true_returns).statistic
    return float(ranked), float(np.corrcoef(run.proxy_returns, run.true_returns)[0, 1])


def _over_draws(values: Sequence[float]) -> Interval:
    """Return the mean of the finite values, with Student's interval."""
    known = np.array([value for value in values if np.isfinite(value)])
    over = counted(len(known), "draw")
    if not len(known):
        return Interval(np.nan, np.nan, np.nan, over)
    error = known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else np.nan
    return student(float(known.mean()), float(error), len(known) - 1, over)


def _interval(one: Interval) -> list[float | None]:
    return [_plain(value) for value in (one.estimate, one.low, one.high)]


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def map_of(env_name: str, grid: Grid, protocol: Protocol, folder: Path, executor: Executor | None) -> SelectionMap:
    """Draw the map of one of `GRIDS`, or continue it from the results in a folder."""
    environment = load_environment(env_name)
    players = players_of(environment)

    def sample(number: int, generator: np.random.Generator, low: float, high: float) -> Demonstrations:
        return Demonstrations(players.sample(number, generator, low, high), environment)

    total = len(grid.cells) * grid.draws
    with tqdm(total=total, desc=f"map of {env_name}", unit="draw", dynamic_ncols=True) as bar:

        def told(words: str) -> None:
            bar.set_postfix_str(words, refresh=False)
            bar.update()

        return draw_map(sample, grid, protocol, folder, told, executor)


def panels(found: SelectionMap) -> tuple[EffectPanel, list[EffectPanel], list[EffectPanel]]:
    """Return the panels of the figure: the correlation, and for each q the selected episodes and the policies."""
    rank = found.bounds([cell.spearman for cell in found.cells])
    kept, policies = [], []
    for place, quantile in enumerate(found.grid.quantiles):
        effects = [cell.effects[place] for cell in found.cells]
        of_kept = found.bounds([effect.kept.interval for effect in effects])
        of_policies = found.bounds([effect.policies.interval for effect in effects])
        decided = found.array([effect.decision != "undecided" for effect in effects]) > 0
        kept.append(EffectPanel(f"kept episodes, q = {quantile:g}", of_kept, away_from_0(of_kept)))
        policies.append(EffectPanel(f"policies, q = {quantile:g}", of_policies, decided))
    return EffectPanel("proxy and true return", rank, away_from_0(rank)), kept, policies


def away_from_0(bounds: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return which intervals (3, …) exclude 0."""
    away: npt.NDArray[np.bool_] = (bounds[1] > 0) | (bounds[2] < 0)
    return away


def summary(found: SelectionMap) -> str:
    """Return the main results of a map in a few lines."""
    effects = [(cell, effect) for cell in found.cells for effect in cell.effects]
    decisions = [effect.decision for _, effect in effects]
    above = sum(effect.policies.estimate > 0 for _, effect in effects)
    lines = [
        f"{counted(len(effects), 'cell')}; policies of the top episodes earn more than policies of random ones in "
        f"{decisions.count('supported')}, less in {decisions.count('contradicted')} (after Holm's correction); the "
        f"estimate is above 0 in {above}"
    ]
    rank = np.array([cell.spearman.estimate for cell, _ in effects])
    known = np.isfinite(rank)
    for words, earned in (
        ("the gain of the kept episodes", np.array([effect.kept.estimate for _, effect in effects])),
        ("the gain of their policies", np.array([effect.policies.estimate for _, effect in effects])),
    ):
        if known.sum() < 3 or np.ptp(rank[known]) == 0 or np.ptp(earned[known]) == 0:
            continue
        with_rank = np.corrcoef(rank[known], earned[known])[0, 1]
        lines.append(f"over the cells, the rank correlation and {words} have a correlation of {with_rank:.2f}")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)

    def work() -> None:
        parser = Parser("scripts/map_selection.py", description=__doc__)
        parser.add_argument("--env_name", nargs="+", default=list(GRIDS), help=f"one or more of {', '.join(GRIDS)}")
        parser.add_argument("--log_dir", type=Path, default=log_directory(), help="folder of results (log/)")
        add_settings(parser, "workers", "scheduler")
        options = parser.parse_args(words)
        for name in options.env_name:
            check_choice("--env_name", name, GRIDS, several=True)
        workers, scheduler = (vars(options).get(name) for name in ("workers", "scheduler"))
        check_workers(workers, scheduler)
        # A map takes hours on any machine.
        with executor_for(workers, scheduler, seconds=math.inf, threads=available_cores()) as executor:
            for name in options.env_name:
                draw(name, options.log_dir, words, executor)

    return run_program("scripts/map_selection.py", work)


def draw(env_name: str, log: Path, words: Sequence[str], executor: Executor | None) -> None:
    """Draw the map of one environment, print its summary, and write figure and numbers."""
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
        "* policies: significant after Holm's correction over the map; other panels: the 95 % interval excludes 0"
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
