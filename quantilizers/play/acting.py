"""Episodes to watch: recorded ones acted out again, and new ones played by a policy or an optimiser.

Policies and optimisers play in a worker process if they need TensorFlow. TensorFlow and Mesa's OpenGL, which draws
MuJoCo on machines without a graphics card, both load LLVM and crash in the same process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.actions import environment_action
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_environment, start_from
from quantilizers.errors import UserError
from quantilizers.evaluation.rollouts import episode_seeds
from quantilizers.execution.worker_processes import WorkerProcesses
from quantilizers.optimisers.agents import AgentJob
from quantilizers.optimisers.algorithms import algorithm_in
from quantilizers.optimisers.learner import learner_of
from quantilizers.play.recording import Episode, play_episode
from quantilizers.policies.keras_files import load_policy
from quantilizers.policies.policy import Policies, acting_of, acts_without_tensorflow, family_of

if TYPE_CHECKING:
    from quantilizers.play.view import GameView, Pixels

#: Files in single precision cause differences up to this size.
ROUNDING = 1e-5


class RecordedEpisode:
    """An episode that can be acted out again: its actions, and its start.

    The reset seed gives the exact start. Without one the episode starts from its first observation. `rows` are pairs of
    text for the panel, which name the episode. `played` tells that a policy or an optimiser has just played it.
    """

    def __init__(
        self,
        environment: EnvironmentDefinition,
        episodes: Episodes,
        episode: int,
        rows: list[tuple[str, str]],
        played: bool = False,
    ) -> None:
        self._whole, self._done = ("episode that was played", "played") if played else ("recording", "recorded")
        self.length = int(episodes.lengths[episode])
        self.rows = rows
        self._environment = environment
        self._observations = episodes.observations[episode, : self.length]
        self._actions = episodes.actions[episode, : self.length]
        self._true_return = float(episodes.true_returns[episode])
        seed = int(episodes.extras["seed"][episode]) if "seed" in episodes.extras else -1
        self._seed = seed if seed >= 0 else None
        finals = episodes.final_observations
        self._final = None if finals is None else finals[episode]
        self._differences = np.zeros(self.length + 1)
        self._ended_early = False

    def pictures(self, view: GameView) -> Iterator[Pixels]:
        """Act the episode out from start to end and yield every picture.

        Raises:
            UserError: it has no reset seed, and its first observation does not show the whole state.
        """
        self._ended_early = False
        observation = self._start(view)
        yield from view.render()
        for step, action in enumerate(self._actions):
            self._compare(step, observation, self._observations[step])
            observation, _, terminated, truncated, _ = view.step(environment_action(action, view.action_space))
            yield from view.render()
            if terminated or truncated:
                self._ended_early = view.steps < self.length
                break
        if self._final is not None and view.steps == self.length:
            self._compare(self.length, observation, self._final)

    def _compare(self, step: int, observation: Any, recorded: npt.NDArray[Any]) -> None:
        if recorded.size:  # files may leave observations out
            difference = np.asarray(observation, dtype=np.float64) - recorded.astype(np.float64)
            self._differences[step] = np.abs(difference).max()

    def _start(self, view: GameView) -> Any:
        observation, _ = view.reset(seed=self._seed)
        if self._seed is not None:
            return observation
        if not start_from(self._environment, view, self._observations[0]):
            raise UserError(
                "the recording has no reset seed, and this environment cannot be started from an observation; "
                "recordings made by this project keep the seeds"
            )
        view.refresh()
        return self._observations[0]

    def outcome(self, view: GameView) -> str:
        """Describe the episode just acted out, and whether it went as recorded."""
        went = f"{view.steps} steps, true return {view.true_return:.6g}, proxy return {view.proxy_return:.6g}"
        start = (
            "from its first observation, because the file has no reset seed" if self._seed is None else "by its seed"
        )
        apart = self._differences > ROUNDING
        largest = f"by {self._differences.max():.1e} at most"
        if apart.any():
            verdict = f"it departs from the {self._whole} after {int(np.argmax(apart))} steps, {largest}"
        elif view.steps < self.length and not self._ended_early:
            verdict = f"stopped by you; the {self._whole} has {self.length} steps"
        elif self._ended_early:
            verdict = f"it ends before the {self._whole}, which has {self.length} steps"
        elif not abs(view.true_return - self._true_return) <= ROUNDING * max(1.0, abs(self._true_return)):  # or NaN
            verdict = f"its true return is not the {self._done} one, {self._true_return:.6g}"
        elif self._differences.any():
            verdict = f"as {self._done}, to rounding ({largest})"
        else:
            verdict = f"exactly as {self._done}"
        return f"{went}; started {start}; {verdict}"


def played_by_policy(
    environment: EnvironmentDefinition,
    policy: Path,
    reset_seed: int,
    random_seed: list[int],
    max_steps: int,
    acting: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Episodes:
    """Let a saved policy play one episode without pictures, to be acted out again with them.

    `random_seed` is that of the policy's draws, if it samples its actions. A file that is not a policy of this
    environment is a `UserError`.
    """
    arguments = policy, reset_seed, random_seed, max_steps, acting, dict(options or {})
    if acts_without_tensorflow(environment):
        return _play_policy(environment, *arguments)
    with WorkerProcesses(1) as worker:
        return worker.call(f"playing {policy}", _play_policy, environment, *arguments)


def _play_policy(
    environment: EnvironmentDefinition,
    policy: Path,
    reset_seed: int,
    random_seed: list[int],
    max_steps: int,
    acting: str | None,
    options: Mapping[str, Any],
) -> Episodes:
    trained = load_policy(policy, environment)
    policies = family_of(environment).stack(environment, [trained], acting_of(environment, acting))
    return _played(environment, policies, reset_seed, np.random.default_rng(random_seed), max_steps, options)


def played_by_optimiser(job: AgentJob, environment: EnvironmentDefinition, episode: int, max_steps: int) -> Episodes:
    """Let an optimiser play one of its test episodes, counted from 0, to be acted out again with pictures.

    Raises:
        UserError: the agent's file is damaged, or a planner has no plan for the episode.
    """
    with WorkerProcesses(1) as worker:
        return worker.call(f"playing {job.agent}", _play_optimiser, environment, job, episode, max_steps)


def _play_optimiser(environment: EnvironmentDefinition, job: AgentJob, episode: int, max_steps: int) -> Episodes:
    policies = learner_of(algorithm_in(job.algorithm, environment)).policies_of(job, environment, episode)
    seed = episode_seeds(job.seed, slice(episode, episode + 1))[0]
    generator = np.random.default_rng([job.seed, episode])
    return _played(environment, policies, seed, generator, max_steps, job.options)


def _played(
    environment: EnvironmentDefinition,
    policies: Policies,
    reset_seed: int,
    generator: np.random.Generator,
    max_steps: int,
    options: Mapping[str, Any],
) -> Episodes:
    game = make_environment(environment, max_steps=max_steps, **options)
    policies.begin(1)
    episode = Episode(environment, player="", seed=reset_seed, options=options)
    one = np.ones((1, 1), dtype=np.bool_)
    play_episode(game, episode, lambda seen: policies.act(seen[None, None], [generator], one)[0, 0])
    game.close()
    return episode.as_episodes()
