"""The table of algorithms. It imports none of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # help needs no NumPy
    from quantilizers.envs.definition import EnvironmentDefinition

_STABLE_BASELINES = ("torch", "stable_baselines3", "sb3_contrib")


@dataclass(frozen=True)
class Algorithm:
    """One way to optimise."""

    label: str  # in figures and tables
    module: str  # of `quantilizers.optimisers`, a `quantilizers.optimisers.learner.Learner`
    steps: int  # default number of training steps of a seed; 0 for no training
    libraries: tuple[str, ...] = ()  # optional modules that it needs
    steps_on_pictures: int | None = None  # another default where agents observe pictures
    #: Its last training episodes are the measurement, in which it still explores and learns, as in the reference.
    measured_in_training: bool = False
    ends_early: bool = False  # when the proxy return stops rising, except on pictures
    optimises: bool = True  # tries to earn proxy reward
    plans: bool = False  # a planner, whose number of steps is called effort and has the environment's default
    on_true: bool = False  # optimises the true reward, as an upper reference
    #: Rolls out the cloned policy of all demonstrations; its number of steps is that of rollouts from each start.
    imitates: bool = False
    #: Is held to the cloned policy of all demonstrations by a penalty on its KL divergence; its effort is beta.
    penalised: bool = False
    #: How it is done where an environment does not declare the dynamics that it needs.
    without_dynamics: Algorithm | None = None

    @property
    def from_imitator(self) -> bool:
        """Whether it is made from the cloned policy of all demonstrations."""
        return self.imitates or self.penalised

    @property
    def takes_processes(self) -> bool:
        """Whether each seed runs in its own process; otherwise one process runs all seeds side by side."""
        return self.plans or self.from_imitator or bool(self.libraries)

    def amount(self, steps: int) -> str:
        """Return how much it optimised, such as "40,000 steps"; empty if it is not trained."""
        if self.plans:
            return f"effort {steps:,}"
        if self.imitates:
            return f"{steps:,} rollouts"
        most = "≤ " if self.ends_early else ""
        return f"{most}{steps:,} steps" if steps else ""


#: By the name on the command line. "ppo" has its library's settings, as in the reference; "ppo_long" has settings for
#: its task. The greedy ones train as the others do and are measured in test episodes. The steps of SARSA and Q-learning
#: are 200 episodes of 200 steps; those of QR-DQN are those that four seeds take on the frames of a video game within an
#: hour on two cores, including their measurement. Those of the sampling quantilizer are rollouts from each start.
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
    "sampling_quantilizer": Algorithm(
        "sampling quantilizer", "sampling_quantilizer", 2000, steps_on_pictures=32, imitates=True
    ),
    "kl_control": Algorithm(
        "KL control",
        "kl_control",
        0,
        penalised=True,
        without_dynamics=Algorithm("KL control", "kl_ppo", 100_000, _STABLE_BASELINES, penalised=True),
    ),
    "planner_true": Algorithm("planner on the true reward", "planner", 0, plans=True, on_true=True),
}


def algorithm_in(name: str, environment: EnvironmentDefinition) -> Algorithm:
    """Return an algorithm as it is done in an environment."""
    about = ALGORITHMS[name]
    return about if about.without_dynamics is None or environment.shows_its_state else about.without_dynamics


def variant_of(algorithm: str, optimisers: Sequence[str]) -> str:
    """Return the part of result file names that identifies an algorithm; the environment's first is not named."""
    return "" if algorithm == optimisers[0] else algorithm
