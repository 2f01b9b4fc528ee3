"""What one run of the command line is about, checked before anything happens."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError
from quantilizers.files import Layout
from quantilizers.optimisers import ALGORITHMS

PLOT_STYLES = ("mean_seeds", "median_seeds", "distribution")


@dataclass(frozen=True)
class Settings:
    """The settings that all stages share.

    Attributes:
        environment: where the agents act.
        layout: where the files lie.
        quantiles: fractions of the demonstrations to imitate, each 0 < q ≤ 1.
        seeds: one policy is trained for each quantile and seed.
        number_trajectories: test episodes a policy.
        max_steps: an episode is cut after so many steps.
        render: show test episodes in a window, one at a time.
        plotstyle: how the figure aggregates the seeds, one of `PLOT_STYLES`.
        options: further constructor arguments of the environment.
        wanted_algorithm: the optimiser; None is the environment's first.
        wanted_optimiser_steps: training steps of each of the optimiser's seeds; None is the algorithm's own number.
        command: the arguments as the user typed them, for the record.

    Raises:
        UserError: a value is impossible.
    """

    environment: EnvironmentDefinition
    layout: Layout
    quantiles: tuple[float, ...]
    seeds: range
    number_trajectories: int
    max_steps: int
    render: bool = False
    plotstyle: str = PLOT_STYLES[0]
    options: Mapping[str, float] = field(default_factory=dict)
    wanted_algorithm: str | None = None
    wanted_optimiser_steps: int | None = None
    command: Sequence[str] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        for quantile in self.quantiles:
            if not 0 < quantile <= 1:
                raise UserError(
                    f"quantile {quantile:g} is impossible; each lies above 0 and is at most 1, such as 0.25"
                )
        if not self.quantiles or len(set(self.quantiles)) != len(self.quantiles):
            raise UserError("--quantiles needs one or more quantiles, each of them once")
        if len(self.seeds) < 1:
            raise UserError("--seed_nb must be at least 1")
        if self.seeds.start < 0:
            raise UserError("--seed_min must be at least 0")
        if self.number_trajectories < 1:
            raise UserError("--number_trajectories must be at least 1")
        if self.max_steps < 1:
            raise UserError("--max_steps must be at least 1")
        if self.plotstyle not in PLOT_STYLES:
            raise UserError(f"unknown plot style {self.plotstyle!r}; --plotstyle is one of {', '.join(PLOT_STYLES)}")

        if self.algorithm not in ALGORITHMS:
            raise UserError(f"unknown algorithm {self.algorithm!r}; --algorithm is one of {', '.join(ALGORITHMS)}")
        if self.optimiser_steps < 1:
            raise UserError("--optimiser_steps must be at least 1")

    @property
    def algorithm(self) -> str:
        """The optimiser, a key of `quantilizers.optimisers.ALGORITHMS`."""
        return self.environment.optimisers[0] if self.wanted_algorithm is None else self.wanted_algorithm

    @property
    def optimiser_variant(self) -> str:
        """The optimiser, where it is not the environment's first."""
        return "" if self.algorithm == self.environment.optimisers[0] else self.algorithm

    @property
    def optimiser_steps(self) -> int:
        """Training steps of each of the optimiser's seeds."""
        wanted = self.wanted_optimiser_steps
        return ALGORITHMS[self.algorithm].steps if wanted is None else wanted

    def command_for(self, *stages: str) -> str:
        """Return the command that runs other stages with these settings, for messages."""
        words = ["python", "quantilizer.py", "--do", *stages, "--env_name", self.environment.name]
        words += ["--dataset_name", self.layout.dataset, "--quantiles", *map(str, self.quantiles)]
        words += ["--seed_min", str(self.seeds.start), "--seed_nb", str(len(self.seeds))]
        if "optimize" in stages and self.wanted_algorithm is not None:
            words += ["--algorithm", self.algorithm]
        if "optimize" in stages and self.wanted_optimiser_steps is not None:
            words += ["--optimiser_steps", str(self.optimiser_steps)]
        if self.layout.path:
            words += ["--path", self.layout.path]
        return shlex.join(words)
