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
        steps: default number of environment steps that one seed is trained for; 0 means no training.
        libraries: optional modules that it needs.
        steps_on_pictures: the default where agents observe pictures, if that is another.
        measured_in_training: whether its last training episodes are the measurement, in which it still explores and
            learns, as in the reference implementation.
        ends_early: whether training ends when the proxy return stops rising, except on pictures.
        optimises: whether it tries to earn proxy reward.
        plans: whether it is a planner. Its number of steps is then called effort, with the environment's default.
        on_true: whether it optimises the true reward, as an upper reference.
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

    @property
    def takes_processes(self) -> bool:
        """Whether each seed runs in its own process; otherwise one process runs all seeds side by side."""
        return self.plans or bool(self.libraries)

    def amount(self, steps: int) -> str:
        """Return how much it optimised, such as "40,000 steps"; empty if it is not trained."""
        if self.plans:
            return f"effort {steps:,}"
        most = "≤ " if self.ends_early else ""
        return f"{most}{steps:,} steps" if steps else ""


#: By the name on the command line. "ppo" has its library's settings, as in the reference; "ppo_long" has settings for
#: its task. The greedy ones train as the others do and are measured in test episodes. The steps of SARSA and Q-learning
#: are 200 episodes of 200 steps; those of QR-DQN are what four seeds manage on the frames of a video game within an
#: hour on two cores, including their measurement.
ALGORITHMS = {
    "random": Algorithm("random", "random_play", 0, optimises=False),
    "sarsa": Algorithm("SARSA", "sarsa_and_q_learning", 40_000, measured_in_training=True),
    "sarsa_greedy": Algorithm("SARSA, greedy", "sarsa_and_q_learning", 40_000),
    "q_learning": Algorithm("Q-learning", "sarsa_and_q_learning", 40_000, measured_in_training=True),
    "q_learning_greedy": Algorithm("Q-learning, greedy", "sarsa_and_q_learning", 40_000),
    "ppo": Algorithm("PPO", "sb3_training", 100_000, _STABLE_BASELINES),
    "ppo_long": Algorithm(
        "PPO, long", "sb3_training", 2_000_000, _STABLE_BASELINES, steps_on_pictures=100_000, ends_early=True
    ),
    "qr_dqn": Algorithm("QR-DQN", "sb3_training", 40_000, _STABLE_BASELINES),
    "planner": Algorithm("planner", "planner", 0, plans=True),
    "planner_true": Algorithm("planner on the true reward", "planner", 0, plans=True, on_true=True),
}


def variant_of(algorithm: str, optimisers: Sequence[str]) -> str:
    """Return the part of result file names that identifies an algorithm.

    Args:
        algorithm: a key of `ALGORITHMS`.
        optimisers: the environment's algorithms, the first of which is not named in files.
    """
    return "" if algorithm == optimisers[0] else algorithm
