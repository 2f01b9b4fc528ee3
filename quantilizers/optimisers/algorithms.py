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
        steps: environment steps that one seed is trained for unless the user says otherwise; 0 is not trained.
        steps_on_pictures: the same where agents observe pictures; None is as many.
        measured_in_training: whether what it earns is measured in its last episodes of training, in which it goes on
            exploring and learning, as in the reference implementation.
        ends_early: whether training ends before its steps where the proxy return stands still, except on pictures.
        optimises: whether it tries to earn proxy reward.
        libraries: modules that it needs and that only some users have.
        plans: whether it plans, which is no learning: what is called steps elsewhere is then its effort, whose default
            is the environment's.
        on_true: whether it optimises the true reward, as the other end of the scale.
    """

    label: str
    module: str
    steps: int
    libraries: tuple[str, ...] = ()
    steps_on_pictures: int | None = None
    measured_in_training: bool = False
    ends_early: bool = False
    optimises: bool = True
    plans: bool = False
    on_true: bool = False

    def amount(self, steps: int) -> str:
        """Return how much it optimised, in words; nothing where it is not trained."""
        if self.plans:
            return f"effort {steps:,}"
        most = "≤ " if self.ends_early else ""
        return f"{most}{steps:,} steps" if steps else ""


#: By the name that users type. "ppo" has its library's settings, as the reference's had, "ppo_long" those that fit its
#: task. The greedy ones are trained alike, and measured as the others are. The steps of SARSA and Q-learning are 200
#: episodes of 200 steps; those of QR-DQN are what four seeds manage on the frames of a video game within an hour on two
#: cores, their measurement included.
ALGORITHMS = {
    "random": Algorithm("random", "random_play", 0, optimises=False),
    "sarsa": Algorithm("SARSA", "sarsa_and_q_learning", 40_000, measured_in_training=True),
    "sarsa_greedy": Algorithm("SARSA, greedy", "sarsa_and_q_learning", 40_000),
    "q_learning": Algorithm("Q-learning", "sarsa_and_q_learning", 40_000, measured_in_training=True),
    "q_learning_greedy": Algorithm("Q-learning, greedy", "sarsa_and_q_learning", 40_000),
    "ppo": Algorithm("PPO", "ppo_and_qr_dqn", 100_000, _STABLE_BASELINES),
    "ppo_long": Algorithm(
        "PPO, long", "ppo_and_qr_dqn", 2_000_000, _STABLE_BASELINES, steps_on_pictures=100_000, ends_early=True
    ),
    "qr_dqn": Algorithm("QR-DQN", "ppo_and_qr_dqn", 40_000, _STABLE_BASELINES),
    "planner": Algorithm("planner", "planner", 0, plans=True),
    "planner_true": Algorithm("planner on the true reward", "planner", 0, plans=True, on_true=True),
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
