"""Simulated players of Hopper at the keyboard, from their first fall to many hops.

No person played these episodes. Six simulated players learn to hop, and their attempts are recorded along the way, so
skill spreads as among people. They do not know the proxy reward. The population was fixed before any policy was trained
on it, by one criterion: that most of the players learn to hop.

- **Play.** People cannot play Hopper at its 125 steps a second; these players play as if it ran at about 10. A player
  sees the state `reaction` steps ago (2 or 3: 200 or 300 ms) and chooses keys every `hold` steps (1, 2 or 3: 100 to
  300 ms); at each choice, each joint's keys slip to a random one with probability 0.02. The six players are the six
  pairs of reaction and hold. A player's skill is a matrix of weights of the observation: a joint's key is pressed one
  way if its sum exceeds a threshold, the other way if it is below minus that, and not at all in between.
- **Goal.** Distance to the right in metres, as for people who play; this is neither of the two rewards. Standing still,
  which the true reward rewards, is worth nothing.
- **Learning.** Basic random search (Mania, Guy and Recht 2018, "Simple random search provides a competitive approach to
  reinforcement learning"): a round of practice tries 16 deviations from the skill with both signs, and the skill moves
  along each by the difference of the two distances.
- **Recording.** Before practice and after every 30 of 150 rounds a player makes five attempts, each with a deviation
  from the skill of that day as in practice, until the hopper falls or 1000 steps have passed: 6 players × 6 days × 5
  attempts. All attempts are recorded, whatever their outcome.

The 180 episodes of seed 0, which ship as log/Hopper-v2/demo.npz:

|                    | least | 10 % | 25 % | median | 75 % | 90 % | most |
|--------------------|------:|-----:|-----:|-------:|-----:|-----:|-----:|
| length (steps)     |     8 |   38 |   69 |    113 |  190 |  281 |  700 |
| distance (m)       | −0.23 | −0.02 | 0.26 | 0.93 | 2.11 | 4.00 | 6.76 |
| true return        |     3 |   55 |  106 |    222 |  445 |  785 | 1536 |
| proxy return (rad) | −0.19 | −0.01 | 0.08 |   0.22 | 0.39 | 0.52 | 0.71 |

`record(0)` takes 6 to 7 minutes of one core, nearly all of it practice. The skills are stored in `hopper_skills.npz`,
from which `sample` draws thousands of further attempts of the same players on the same days in a minute.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import load_arrays, save_arrays
from quantilizers.demonstrations.episodes import FINAL_OBSERVATION, Episodes, concatenate
from quantilizers.envs.hopper import CONTROL_COST, MAX_STEPS, STEP_SECONDS, HopperVector, final_observations
from quantilizers.rewards import FloatArray

REACTIONS, HOLDS = (2, 3), (1, 2, 3)
SLIP_PROBABILITY = 0.02
KEY_THRESHOLD = 0.5

ROUNDS, ROUNDS_BETWEEN_RECORDINGS = 150, 30
DIRECTIONS = 16
DEVIATION, LEARNING_RATE = 0.3, 0.3
PRACTICE_STEPS = 400
ATTEMPTS = 5

#: Skills on the days of recording, seed 0; written by `save_skills`.
SKILLS = Path(__file__).with_name("hopper_skills.npz")

#: Approximate centre and scale of observations while hopping, which give weights a common scale.
OBSERVATION_CENTRE = np.array([1.25, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
OBSERVATION_SCALE = np.array([0.2, 0.1, 0.3, 0.3, 0.3, 2, 2, 1, 3, 3, 5])


@dataclass(frozen=True)
class Habits:
    """Steps until a player sees a state (`reaction`), and between two choices of keys (`hold`)."""

    reaction: int
    hold: int


#: The six players.
EVERYONE = tuple(Habits(reaction, hold) for reaction, hold in product(REACTIONS, HOLDS))


@dataclass(frozen=True)
class Attempts:
    """n episodes of at most T steps; values after an episode's end have no meaning."""

    observations: npt.NDArray[np.float32]  # (n, T, 11), before each step
    keys: FloatArray  # (n, T, 3), −1, 0 or 1 for each joint
    true_rewards: FloatArray  # (n, T)
    lengths: npt.NDArray[np.int64]  # (n,) steps

    @property
    def padding(self) -> npt.NDArray[np.bool_]:
        """Whether steps are after an episode's end, (n, T)."""
        return np.arange(self.keys.shape[1]) >= self.lengths[:, None]

    @property
    def distances(self) -> FloatArray:
        """Distance of each episode to the right in metres, (n,), from the speed in the true reward."""
        speeds = self.true_rewards - 1 + CONTROL_COST * np.square(self.keys).sum(axis=2)
        metres: FloatArray = np.where(self.padding, 0.0, speeds).sum(axis=1) * STEP_SECONDS
        return metres


def wanted_keys(skills: FloatArray, observations: FloatArray) -> FloatArray:
    """Return the keys (n, 3) of n players with skills (n, 3, 12) for observations (n, 11)."""
    seen = (observations - OBSERVATION_CENTRE) / OBSERVATION_SCALE
    urges = skills[:, :, 11].copy()
    # One feature after the other: matrix products differ in their last bits between processors.
    for feature in range(11):
        urges += skills[:, :, feature] * seen[:, feature, None]
    return (urges > KEY_THRESHOLD).astype(np.float64) - (urges < -KEY_THRESHOLD)


def attempt(
    skills: FloatArray, habits: Habits, seeds: list[int], max_steps: int, random: np.random.Generator
) -> Attempts:
    """Play one episode with each skill (n, 3, 12); slips and the phase of the choices of keys are random."""
    number = len(skills)
    environment = HopperVector(number, max_steps)
    observation, _ = environment.reset(seed=seeds)
    rhythm = random.integers(0, habits.hold, number)
    keys = np.zeros((number, 3))
    past, pressed, rewards = [observation], [], []
    finished = np.zeros(number, dtype=np.bool_)
    for step in range(max_steps):
        wanted = wanted_keys(skills, past[max(0, step - habits.reaction)])
        slips = random.random((number, 3)) < SLIP_PROBABILITY
        wanted = np.where(slips, random.integers(-1, 2, (number, 3)), wanted)
        keys = np.where(((step + rhythm) % habits.hold == 0)[:, None], wanted, keys)
        observation, _, terminated, truncated, info = environment.step(keys)
        pressed.append(keys)
        rewards.append(info["true_reward"])
        finished = finished | terminated | truncated
        if finished.all():
            break
        environment.retire(finished)
        past.append(observation)
    environment.close()
    return Attempts(
        np.stack(past, axis=1).astype(np.float32),
        np.stack(pressed, axis=1),
        np.stack(rewards, axis=1),
        environment.steps.copy(),
    )


def practise(habits: Habits, rounds: int, random: np.random.Generator) -> Iterator[FloatArray]:
    """Yield a player's skill (3, 12) at the beginning and after each round of practice."""
    skill = np.zeros((3, 12))
    yield skill
    for _ in range(rounds):
        directions = random.standard_normal((DIRECTIONS, 3, 12))
        tried = np.concatenate([skill + DEVIATION * directions, skill - DEVIATION * directions])
        # Both signs of a deviation have the same start, so only slips differ.
        seeds = random.integers(0, 2**31, DIRECTIONS).tolist()
        distances = attempt(tried, habits, seeds + seeds, PRACTICE_STEPS, random).distances
        further = distances[:DIRECTIONS] - distances[DIRECTIONS:]
        skill = skill + LEARNING_RATE / distances.std() * (further[:, None, None] * directions).mean(axis=0)
        yield skill


@dataclass(frozen=True)
class Day:
    """The recording of a player on one day: rounds practised before, skill (3, 12), reset seeds, and attempts."""

    rounds_practised: int
    skill: FloatArray
    seeds: list[int]
    attempts: Attempts


def career(habits: Habits, rounds: int, random: np.random.Generator) -> Iterator[Day]:
    """Yield the days on which a player is recorded."""
    for practised, skill in enumerate(practise(habits, rounds, random)):
        if practised % ROUNDS_BETWEEN_RECORDINGS == 0:
            skills = skill + DEVIATION * random.standard_normal((ATTEMPTS, 3, 12))
            seeds = random.integers(0, 2**31, ATTEMPTS).tolist()
            yield Day(practised, skill, seeds, attempt(skills, habits, seeds, MAX_STEPS, random))


def careers(seed: int, rounds: int = ROUNDS) -> Iterator[list[Day]]:
    """Yield the recorded days of each of the six players, one player after the other."""
    for habits, random in zip(EVERYONE, np.random.default_rng(seed).spawn(len(EVERYONE)), strict=True):
        yield list(career(habits, rounds, random))


def record(seed: int, rounds: int = ROUNDS) -> Episodes:
    """Let the simulated players practise and return their recordings, player by player, day by day.

    Returns:
        Episodes with the extras `seed` (a replay of the actions from it gives the same episode), `player`,
        `rounds_practised`, (N,) each, and `final_observation`, (N, 11). The latter is simulated from the last
        observation and action, and the ranking depends on it. Observations clip the joints' speeds at 10 rad/s, so in
        62 of the 180 episodes the foot's last angle is off by up to 0.09 rad, and the proxy return by up to 0.0011.
    """
    recordings: list[Attempts] = []
    seeds: list[int] = []
    players: list[str] = []
    practised: list[int] = []
    for player, days in enumerate(careers(seed, rounds)):
        for day in days:
            recordings.append(day.attempts)
            seeds += day.seeds
            players += [f"simulated player {player}"] * ATTEMPTS
            practised += [day.rounds_practised] * ATTEMPTS
    return _joined(recordings, seeds, players, practised)


def practised_skills(path: Path = SKILLS) -> FloatArray:
    """Return the skills of the players of seed 0 on the days of recording, (6 players, 6 days, 3, 12)."""
    skills: FloatArray = load_arrays(path, ["skills"])["skills"]
    return skills


def save_skills(path: Path = SKILLS, seed: int = 0, rounds: int = ROUNDS) -> None:
    """Let the players practise, and write their skills; 6 to 7 minutes of one core."""
    skills = np.stack([np.stack([day.skill for day in days]) for days in careers(seed, rounds)])
    save_arrays(path, {"skills": skills, "seed": np.array(seed), "rounds": np.array(rounds)})


def sample(number: int, generator: np.random.Generator, lowest: float = 0.0, highest: float = 1.0) -> Episodes:
    """Sample N attempts of players on days drawn at random: the base distribution of the shipped data set.

    Players and days are those of that data set; deviations from the skill, starts and slips are new. A day's share of
    the practice, 0, 0.2, 0.4, 0.6, 0.8 or 1, is between lowest and highest. Episodes are like those of `record`.
    """
    skills = practised_skills()
    days = np.arange(skills.shape[1])
    allowed = days[(days >= lowest * days[-1] - 1e-9) & (days <= highest * days[-1] + 1e-9)]
    who, when = generator.integers(len(EVERYONE), size=number), generator.choice(allowed, size=number)
    deviations = DEVIATION * generator.standard_normal((number, 3, 12))
    seeds = generator.integers(0, 2**31, number)
    groups = [np.flatnonzero(who == player) for player in range(len(EVERYONE))]
    # All attempts of a player run side by side, because they share reaction and hold.
    recordings = [
        attempt(skills[player, when[mine]] + deviations[mine], habits, seeds[mine].tolist(), MAX_STEPS, generator)
        for player, (habits, mine) in enumerate(zip(EVERYONE, groups, strict=True))
        if len(mine)
    ]
    order = np.concatenate(groups)
    names = [f"simulated player {player}" for player in who[order]]
    joined = _joined(recordings, seeds[order].tolist(), names, (when[order] * ROUNDS_BETWEEN_RECORDINGS).tolist())
    return joined.select(np.argsort(order))


def _joined(recordings: list[Attempts], seeds: list[int], players: list[str], practised: list[int]) -> Episodes:
    """Join attempts, with player, day and seed of each."""
    extras: dict[str, npt.NDArray[Any]] = {
        "seed": np.array(seeds, dtype=np.int64),
        "player": np.array(players),
        "rounds_practised": np.array(practised, dtype=np.int64),
    }
    joined = concatenate([_as_episodes(attempts) for attempts in recordings])
    finals = final_observations(joined).astype(joined.observations.dtype)
    return replace(joined, extras={**extras, FINAL_OBSERVATION: finals})


def _as_episodes(attempts: Attempts) -> Episodes:
    real = ~attempts.padding
    return Episodes(
        observations=np.where(real[..., None], attempts.observations, 0).astype(np.float32),
        actions=np.where(real[..., None], attempts.keys, 0).astype(np.float32),
        true_rewards=np.where(real, attempts.true_rewards, 0).astype(np.float32),
        done=attempts.padding,
    )
