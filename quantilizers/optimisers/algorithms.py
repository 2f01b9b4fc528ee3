"""The table of algorithms. It imports none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_STABLE_BASELINES = ("torch", "stable_baselines3", "sb3_contrib")


@dataclass(frozen=True)
class Algorithm:
    """One way to optimise.

    Attributes:
        label: its name in figures and tables.
        module: the module of `quantilizers.optimisers` that is its `quantilizers.optimisers.learner.Learner`.
        steps: environment steps that one seed is trained for unless the user says otherwise.
        libraries: modules that it needs and that only some users have.
    """

    label: str
    module: str
    steps: int
    libraries: tuple[str, ...] = ()


#: By the name that users type. The steps of SARSA and Q-learning are 200 episodes of 200 steps; those of QR-DQN are
#: what four seeds manage on the frames of a video game within an hour on two cores, their measurement included.
ALGORITHMS = {
    "sarsa": Algorithm("SARSA", "sarsa_and_q_learning", 40_000),
    "q_learning": Algorithm("Q-learning", "sarsa_and_q_learning", 40_000),
    "ppo": Algorithm("PPO", "ppo_and_qr_dqn", 100_000, _STABLE_BASELINES),
    "qr_dqn": Algorithm("QR-DQN", "ppo_and_qr_dqn", 40_000, _STABLE_BASELINES),
}


def variant_of(algorithm: str, optimisers: Sequence[str]) -> str:
    """Return what marks an algorithm's measured rewards in their file names.

    Args:
        algorithm: a key of `ALGORITHMS`.
        optimisers: the environment's own list of algorithms, whose first needs no mark.

    Returns:
        The algorithm, or nothing for the first of the list.
    """
    return "" if algorithm == optimisers[0] else algorithm
