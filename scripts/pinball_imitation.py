#!/usr/bin/env python3
"""Measure how far imitation of Video Pinball's players falls short of them, and of what.

    python quantilizer.py --do train --env_name VideoPinballNoFrameskip-v4 --env_option observation=ram --quantiles 1.0
    python scripts/pinball_imitation.py

The policies of q = 1 play games from the console's memory, by sampling their actions and by the most probable one. A
table has, beside the demonstrations' [95 % interval over players], for policies [95 % interval over seeds]:

- score and cheat rate, and the share of steps with the ball caught: above the bumper below the lane for at least
  `CAUGHT_STEPS` steps without a break;
- the share of steps that repeat the last action, as held keys do;
- of the steps at which a farming player pushes the table, because the ball is above the bumper and off its middle, the
  share at which this push was played;
- for policies, the probability of that push where players who always farm made it, in their recorded games and before
  the recorded past: imitation without the states that it leads itself to;
- the share of steps with a byte of memory that no demonstration has.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers.programs import Parser, require_libraries, run_program

require_libraries("ale_py")

import numpy as np
import numpy.typing as npt

from quantilizers.choices import Acting
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.registry import load_environment
from quantilizers.envs.video_pinball.emulator import BALL_COLUMN, BALL_LINE
from quantilizers.errors import UserError
from quantilizers.evaluation.intervals import Interval, mean_interval, student
from quantilizers.evaluation.rollouts import randomness_of, roll_out
from quantilizers.files import sha256_of
from quantilizers.layout import Layout, log_directory
from quantilizers.numbers_in_words import counted
from quantilizers.policies.keras_files import load_policy
from quantilizers.policies.policy import Policies, TrainedPolicy, family_of
from quantilizers.rewards import BoolArray, FloatArray
from quantilizers.stages.finished import save_record
from quantilizers.terminal import terminal_table
from simulated_players.video_pinball import NOTHING, keep_above_bumper

NAME = "VideoPinballNoFrameskip-ram-v4"
#: Where a ball is that goes up and down above the bumper below the lane: columns and lines of its centre.
ABOVE_COLUMNS, ABOVE_LINES = (104, 120), (0, 116)
#: Steps above the bumper without a break from which on a ball counts as caught: about once up and down.
CAUGHT_STEPS = 20
#: Part of the names of players who farm whenever they can.
ALWAYS = "will 1"
QUANTITIES = ("score", "cheat rate", "ball caught", "last action repeated", "pushes of a farmer", "unseen bytes")


@dataclass(frozen=True, eq=False)
class Game:
    """One game: the memory before each of T steps (T, 128), the actions (T,), and both returns at λ = 1."""

    memory: npt.NDArray[np.uint8]
    actions: npt.NDArray[np.int64]
    score: float
    true_return: float

    @property
    def _balls(self) -> tuple[FloatArray, FloatArray]:
        """Columns and lines of the ball's centre, (T,) each."""
        positions = self.memory[:, [BALL_COLUMN, BALL_LINE]].astype(np.float64)
        return positions[:, 0] + 0.5, positions[:, 1] - 1.5

    @property
    def caught(self) -> BoolArray:
        """Whether the ball is caught, (T,)."""
        column, line = self._balls
        above = (column >= ABOVE_COLUMNS[0]) & (column <= ABOVE_COLUMNS[1])
        above &= (line >= ABOVE_LINES[0]) & (line <= ABOVE_LINES[1])
        caught = np.zeros(len(above), dtype=np.bool_)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], above, [False]]).astype(np.int8)))
        for first, last in edges.reshape(-1, 2):
            caught[first:last] = last - first >= CAUGHT_STEPS
        return caught

    @property
    def pushes(self) -> npt.NDArray[np.int64]:
        """The push of a farming player at each step, (T,); `NOTHING` where there is none."""
        columns, lines = self._balls
        return np.array([keep_above_bumper(*ball) for ball in zip(columns.tolist(), lines.tolist(), strict=True)])

    def numbers(self, seen: BoolArray) -> list[float]:
        """Return the `QUANTITIES`; those without a step are NaN. Bytes that the demonstrations have are (128, 256)."""
        pushes = self.pushes
        due = pushes != NOTHING
        return [
            self.score,
            self.score - self.true_return,
            float(self.caught.mean()),
            float((self.actions[1:] == self.actions[:-1]).mean()),
            float((self.actions[due] == pushes[due]).mean()) if due.any() else np.nan,
            float((~seen[np.arange(self.memory.shape[1]), self.memory]).any(axis=1).mean()),
        ]


class Watcher:
    """Policies whose observations and actions are kept."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self.memory: list[npt.NDArray[np.uint8]] = []
        self.actions: list[npt.NDArray[np.int64]] = []

    def begin(self, episodes: int) -> None:
        """Begin episodes as the policies do."""
        self._policies.begin(episodes)

    def act(
        self, observations: npt.NDArray[Any], generators: Sequence[np.random.Generator], running: npt.NDArray[np.bool_]
    ) -> npt.NDArray[Any]:
        """Choose actions as the policies do."""
        actions = self._policies.act(observations, generators, running)
        self.memory.append(observations.copy())
        self.actions.append(actions[..., 0].astype(np.int64))
        return actions


def games_of(
    environment: EnvironmentDefinition, policies: Sequence[TrainedPolicy], acting: Acting, games: int, max_steps: int
) -> list[list[Game]]:
    """Let policies play their first test games; return those of each."""
    watcher = Watcher(family_of(environment).stack(environment, policies, acting))
    randomness = randomness_of([policy.seed for policy in policies], slice(0, games))
    found = roll_out(environment, watcher, *randomness, max_steps, {"lamb": 1.0})
    memory, actions = np.stack(watcher.memory, axis=2), np.stack(watcher.actions, axis=2)
    return [
        [
            Game(
                memory[policy, game, :length],
                actions[policy, game, :length],
                float(found.proxy_rewards[policy, game].sum()),
                float(found.true_rewards[policy, game].sum()),
            )
            for game, length in enumerate(lengths)
        ]
        for policy, lengths in enumerate(found.lengths.tolist())
    ]


def recorded_games(demonstrations: Demonstrations) -> list[Game]:
    """Return the demonstrations as games."""
    episodes = demonstrations.episodes
    rows = zip(
        episodes.observations, episodes.actions[..., 0].astype(np.int64), demonstrations.lengths.tolist(),
        demonstrations.proxy_returns.tolist(), demonstrations.true_returns.tolist(), strict=True,
    )  # fmt: skip
    return [Game(memory[:steps], actions[:steps], score, true) for memory, actions, steps, score, true in rows]


def over_groups(numbers: FloatArray, word: str) -> list[Interval]:
    """Return the mean of each quantity, with its interval over groups, of games (groups, games, quantities)."""
    known = ~np.isnan(numbers)
    counts = known.sum(axis=1)
    sums = np.where(known, numbers, 0.0).sum(axis=1)
    found = []
    for place, quantity in enumerate(QUANTITIES):
        there = counts[:, place] > 0
        values = sums[there, place] / counts[there, place]
        error = float(values.std(ddof=1)) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        mean = float(values.mean()) if len(values) else np.nan
        interval = student(mean, error, len(values) - 1, counted(len(values), word))
        found.append(interval.within(0.0, np.inf if quantity == "score" else 1.0))
    return found


def written(quantity: str, found: Interval) -> str:
    """Return a quantity for the table; shares are in per cent."""
    if np.isnan(found.estimate):
        return "–"
    factor, digits = (1.0, 0) if quantity == "score" else (100.0, 1)
    numbers = [f"{factor * one:,.{digits}f}" for one in (found.estimate, found.low, found.high)]
    return f"{numbers[0]} [{numbers[1]}, {numbers[2]}]" + ("" if quantity == "score" else " %")


def probability_of_pushes(policies: Sequence[TrainedPolicy], demonstrations: Demonstrations) -> Interval:
    """Return the probability of pushes that players who always farm made, given the recorded past."""
    players = demonstrations.episodes.extras["player"]
    always = demonstrations.select(np.flatnonzero(np.char.endswith(players, ALWAYS)))
    pushes = np.concatenate([game.pushes for game in recorded_games(always)])
    observations, actions = always.episodes.transitions()
    made = (pushes != NOTHING) & (actions[:, 0] == pushes)
    found = []
    for policy in policies:
        stack = family_of(demonstrations.environment).stack(demonstrations.environment, [policy], "sample")
        stack.recall(always.episodes)
        (probabilities,) = stack.probabilities(observations[None])
        found.append(probabilities[0, made, pushes[made]].astype(np.float64))
    return mean_interval(np.array(found))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""

    def work() -> None:
        parser = Parser("scripts/pinball_imitation.py", description=__doc__)
        parser.add_argument("--games", type=int, default=20, help="games of each policy (%(default)s)")
        parser.add_argument("--seed_nb", type=int, default=5, help="number of seeds (%(default)s)")
        parser.add_argument("--path", default="", help="folder of the policies, as of quantilizer.py")
        options = parser.parse_args(arguments)
        if min(options.games, options.seed_nb) < 1:
            raise UserError("--games and --seed_nb must be at least 1")
        environment = load_environment(NAME)
        layout = Layout(environment=NAME, log=log_directory(), dataset="demo", path=options.path)
        policies = [load_policy(layout.model(1.0, seed), environment) for seed in range(options.seed_nb)]
        demonstrations = Demonstrations.find(layout, environment).with_observations()
        recorded, max_steps = recorded_games(demonstrations), int(demonstrations.lengths.max())
        seen = np.zeros((recorded[0].memory.shape[1], 256), dtype=np.bool_)
        for game in recorded:
            seen[np.arange(len(seen)), game.memory] = True
        by_player: dict[str, list[list[float]]] = {}
        for game, player in zip(recorded, demonstrations.episodes.extras["player"].tolist(), strict=True):
            by_player.setdefault(player, []).append(game.numbers(seen))
        columns = {"demonstrations": over_groups(np.array(list(by_player.values())), "player")}
        for acting, words in (("sample", "policies, sampling"), ("most_probable", "policies, most probable")):
            played = games_of(environment, policies, acting, options.games, max_steps)  # type: ignore[arg-type]
            columns[words] = over_groups(np.array([[one.numbers(seen) for one in games] for games in played]), "seed")
        rows = [
            [quantity, *(written(quantity, column[place]) for column in columns.values())]
            for place, quantity in enumerate(QUANTITIES)
        ]
        print(terminal_table(["", *columns], rows, wide=True))
        pushes = probability_of_pushes(policies, demonstrations)
        print(f"probability of the pushes of players who always farm, given their past: {pushes:.3f}")
        path = layout.study.with_name(f"{layout.study.stem}_imitation.json")
        record = {
            "command": ["python", "scripts/pinball_imitation.py", *(sys.argv[1:] if arguments is None else arguments)],
            "data_sha256": sha256_of(layout.found_data),
            "settings": {"games": options.games, "seeds": options.seed_nb, "training": asdict(policies[0].training)},
        }
        save_record(path, record, {
            "quantities": QUANTITIES,
            "imitation": {name: [one.as_numbers() for one in column] for name, column in columns.items()},
            "probability_of_pushes": pushes.as_numbers(),
        })  # fmt: skip
        print(f"wrote {path}")

    return run_program("scripts/pinball_imitation.py", work)


if __name__ == "__main__":
    sys.exit(main())
