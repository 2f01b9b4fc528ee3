"""Letting a trained policy, or an optimiser, play one episode, in a process of its own where it needs one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from traceback import format_exc
from typing import Any

import numpy as np

from quantilizers.demonstrations.episodes import Episodes
from quantilizers.envs.actions import environment_action
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.envs.making import make_environment
from quantilizers.envs.registry import load_environment
from quantilizers.evaluation.rollouts import episode_seeds
from quantilizers.interruptions import leave_to_the_first, starting_a_process
from quantilizers.optimisers.jobs import Job
from quantilizers.optimisers.learner import learner_of
from quantilizers.play.recording import Episode
from quantilizers.policies.keras_files import load_policy
from quantilizers.policies.policy import Policies, acting_of, acts_without_tensorflow, family_of


@contextmanager
def another_process() -> Iterator[Callable[..., Any]]:
    """Give what calls functions in one other process: `call(function, environment, *arguments)`.

    TensorFlow and Mesa's OpenGL, which draws MuJoCo on machines without a graphics card, each bring LLVM, and crash in
    one process. What a function raises is raised here.
    """
    context = get_context("spawn")
    connection, theirs = context.Pipe()
    process = context.Process(target=_do_calls, args=(theirs,))

    def call(function: Callable[..., Any], environment: EnvironmentDefinition, *arguments: Any) -> Any:
        if process.pid is None:
            with starting_a_process():
                process.start()
            theirs.close()
        # What a file defines has no name in another process before the file is loaded there.
        connection.send((function, environment.address or environment, arguments))
        try:
            returned, content = connection.recv()
        except EOFError:
            process.join()
            raise RuntimeError(f"the process that was to do it died with exit code {process.exitcode}") from None
        if not returned:
            raise content
        return content

    try:
        yield call
    except BaseException:
        if process.pid is not None:
            process.terminate()
        raise
    finally:
        connection.close()  # there is no more to do
        if process.pid is not None:
            process.join()


def _do_calls(connection: Connection) -> None:
    """Call one function after the other, until there are no more."""
    leave_to_the_first()
    # The process that started this one has no more calls, or is gone.
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            function, known, arguments = connection.recv()
            try:
                environment = load_environment(known) if isinstance(known, str) else known
                answer = True, function(environment, *arguments)
            except Exception as error:
                error.add_note(f"in another process:\n{format_exc()}")
                answer = False, error
            connection.send(answer)


def played_by_policy(
    environment: EnvironmentDefinition,
    policy: Path,
    reset_seed: int,
    random_seed: list[int],
    max_steps: int,
    acting: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Episodes:
    """Let a policy play one episode without pictures, to be acted out again with them.

    It plays in `another_process` if it needs TensorFlow.

    Args:
        environment: where.
        policy: its file.
        reset_seed: of the episode.
        random_seed: of what the policy draws, where it samples its actions.
        max_steps: the episode is cut after so many steps.
        acting: how the policy acts; None is the environment's way.
        options: further arguments of the environment.

    Returns:
        The one episode.

    Raises:
        UserError: the file is not a policy of this environment.
    """
    rest = policy, reset_seed, random_seed, max_steps, acting, dict(options or {})
    if acts_without_tensorflow(environment):
        return _play(environment, *rest)
    with another_process() as call:
        episodes: Episodes = call(_play, environment, *rest)
    return episodes


def _play(
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


def played_by_optimiser(job: Job, environment: EnvironmentDefinition, episode: int, max_steps: int) -> Episodes:
    """Let an optimiser play one of the episodes that it is measured in, without pictures, to be acted out again.

    Args:
        job: whose agent.
        environment: where.
        episode: its number, from 0 on.
        max_steps: the episode is cut after so many steps.

    Returns:
        The one episode.

    Raises:
        UserError: its file is damaged, or it has no plan for the episode.
    """
    with another_process() as call:
        episodes: Episodes = call(_play_optimiser, environment, job, episode, max_steps)
    return episodes


def _play_optimiser(environment: EnvironmentDefinition, job: Job, episode: int, max_steps: int) -> Episodes:
    policies = learner_of(job.algorithm).policies_of(job, environment, episode)
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
    """Play one episode."""
    game = make_environment(environment, max_steps=max_steps, **options)
    policies.begin(1)
    episode = Episode(environment, player="", seed=reset_seed)
    observation, _ = game.reset(seed=reset_seed)
    ended = False
    while not ended:
        before = np.array(observation)
        action = policies.act(before[None, None], [generator], np.ones((1, 1), dtype=np.bool_))[0, 0]
        observation, _, terminated, truncated, info = game.step(environment_action(action, game.action_space))
        episode.add_step(before, action, info)
        ended = terminated or truncated
    game.close()
    episode.final_observation = np.array(observation)
    return episode.as_episodes()
