"""Simulated players of Mountain Car at the keyboard, for the shipped data set.

No person played these episodes. The population was fixed before any policy was trained on it and has not changed since.
Fifty players play five episodes each; player k has skill k/49, from 0 (hopeless) to 1 (good).

- Reaction: a player sees the screen 10 frames late (a third of a second at 30 frames a second) at skill 0, and 4 frames
  late at skill 1.
- Hold: a key, or none, is held for 2 frames plus a geometric number of frames, whose mean is 8 at skill 0 and 3 at
  skill 1. Then comes the next decision.
- Decision: with probability equal to the skill the player swings, pushing in the direction in which the car was seen to
  move (right if it stood still). Otherwise the player pushes right, towards the flag, half of the time, and presses any
  of the three keys half of the time.

Players see the car and the flag, and do not know the proxy reward. `POPULATIONS` has other players, for studies of how
far results carry; they too were fixed before any policy was trained on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from quantilizers.demonstrations.episodes import FINAL_OBSERVATION, Episodes
from quantilizers.envs.mountain_car import MAX_STEPS, MountainCarVector

PLAYERS, EPISODES_EACH = 50, 5
LEFT, NOTHING, RIGHT = 0, 1, 2
SHORTEST_HOLD = 2
#: Episodes that are sampled at a time, 100 MB of them.
EPISODES_AT_ONCE = 20_000


@dataclass(frozen=True)
class Population:
    """Players whose skill is evenly spread between two values; pairs are of a player of skill 0 and of skill 1."""

    skills: tuple[float, float] = (0.0, 1.0)
    reaction: tuple[int, int] = (10, 4)  # frames
    mean_hold: tuple[float, float] = (8.0, 3.0)  # frames beyond `SHORTEST_HOLD`


#: The shipped data set's players, and others.
POPULATIONS = {
    "shipped": Population(),
    "slow": Population(reaction=(16, 8), mean_hold=(12.0, 5.0)),
    "good": Population(skills=(0.7, 1.0)),
    "poor": Population(skills=(0.0, 0.4)),
}
SHIPPED = POPULATIONS["shipped"]


def record(seed: int, players: int = PLAYERS, population: Population = SHIPPED) -> Episodes:
    """Let simulated players of evenly spread skill play five episodes each; 50 are those of the shipped data set.

    Returns:
        Episodes with the extras `seed`, `player`, (N,) each, and `final_observation`, (N, 2).
    """
    who = np.repeat(np.arange(players), EPISODES_EACH)
    lowest, highest = population.skills
    skill = lowest + (highest - lowest) * (who / (players - 1))
    return _play(skill, who, np.random.default_rng(seed), population=population)


def sample(number: int, generator: np.random.Generator, lowest: float = 0.0, highest: float = 1.0) -> Episodes:
    """Sample episodes of players drawn at random, as `record` returns them: the shipped data set's base distribution.

    Their skills are between the lowest and the highest.
    """
    skills = np.arange(PLAYERS) / (PLAYERS - 1)
    who = generator.choice(np.flatnonzero((skills >= lowest) & (skills <= highest)), size=number)
    return _play(who / (PLAYERS - 1), who, generator)


def sample_starts(starts: int, each: int, generator: np.random.Generator) -> Iterator[Episodes]:
    """Sample episodes of players drawn at random, as many from each of some starts, which are drawn first.

    Yields:
        Episodes of some of the starts, as `record` returns them; those of one start have the same `seed`.
    """
    reset_seeds = generator.integers(2**31, size=starts)
    at_once = max(1, EPISODES_AT_ONCE // each)
    for first in range(0, starts, at_once):
        seeds = np.repeat(reset_seeds[first : first + at_once], each)
        who = generator.integers(PLAYERS, size=len(seeds))
        yield _play(who / (PLAYERS - 1), who, generator, seeds)


def _play(
    skill: np.ndarray,
    players: np.ndarray,
    generator: np.random.Generator,
    reset_seeds: np.ndarray | None = None,
    population: Population = SHIPPED,
) -> Episodes:
    """Play one episode for each skill (N,) and player number (N,), from given starts or from new ones."""
    number = len(skill)
    slowest, fastest = population.reaction
    longest, shortest = population.mean_hold
    delay = np.rint(slowest + skill * (fastest - slowest)).astype(np.int64)
    mean_hold = longest + skill * (shortest - longest)
    reset_seeds = generator.integers(2**31, size=number) if reset_seeds is None else reset_seeds

    observations = np.zeros((number, MAX_STEPS, 2), dtype=np.float32)
    actions = np.zeros((number, MAX_STEPS, 1), dtype=np.float32)
    true_rewards = np.zeros((number, MAX_STEPS), dtype=np.float32)
    done = np.ones((number, MAX_STEPS), dtype=np.bool_)
    cars = MountainCarVector(number)
    seen, _ = cars.reset(seed=reset_seeds.tolist())
    running = np.ones(number, dtype=np.bool_)
    key = np.full(number, NOTHING)
    frames_left = delay.copy()  # nobody presses anything before having seen the first frame
    for step in range(MAX_STEPS):
        observations[running, step] = seen[running]
        deciding = frames_left == 0
        late = observations[np.arange(number), np.maximum(step - delay, 0), 1]
        key = np.where(deciding, _decide(late, skill, generator), key)
        hold = SHORTEST_HOLD + generator.geometric(1.0 / mean_hold)
        frames_left = np.where(deciding, hold, frames_left) - 1
        actions[running, step, 0] = key[running]
        done[running, step] = False
        seen, _, terminated, truncated, info = cars.step(key)
        true_rewards[running, step] = info["true_reward"][running]
        ended = running & (terminated | truncated)
        cars.retire(ended)
        running &= ~ended
        if not running.any():
            break
    return Episodes(
        observations,
        actions,
        true_rewards,
        done,
        extras={
            "seed": reset_seeds,
            "player": np.array([f"simulated player {player}" for player in players]),
            # Cars stand still once their episodes have ended.
            FINAL_OBSERVATION: seen,
        },
    ).select(np.arange(number))


def _decide(velocity: np.ndarray, skill: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Return the key that each player would press, having seen the car move at `velocity`."""
    swing = np.where(velocity < 0, LEFT, RIGHT)
    otherwise = np.where(generator.random(len(skill)) < 0.5, RIGHT, generator.integers(3, size=len(skill)))
    return np.where(generator.random(len(skill)) < skill, swing, otherwise)
