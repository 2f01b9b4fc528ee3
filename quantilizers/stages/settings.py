"""What one run of the command line is about, checked before anything happens."""

from __future__ import annotations

import math
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any

from quantilizers.choices import Acting
from quantilizers.envs.definition import EnvironmentDefinition
from quantilizers.errors import UserError, did_you_mean
from quantilizers.files import sha256_of
from quantilizers.layout import Layout, log_directory
from quantilizers.optimisers.algorithms import ALGORITHMS, variant_of
from quantilizers.policies.hyper_parameters import AnyTraining
from quantilizers.policies.policy import acting_of, family_name, training_of
from quantilizers.policies.treatment import REFERENCE, Treatment
from quantilizers.programs import call_of
from quantilizers.quantilize import RULES
from quantilizers.stages.flags import ANALYSES, PLOT_STYLES, RESAMPLE, check_executor_flags, flag_of


def _check_known(what: str, name: str, known: Collection[str], flag: str) -> None:
    if name not in known:
        raise UserError(f"unknown {what} {name!r}{did_you_mean(name, known) or ';'} {flag} takes {', '.join(known)}")


@dataclass(frozen=True)
class Settings:
    """The settings that all stages share.

    Attributes:
        environment: where the agents act.
        layout: where the files lie.
        quantiles: fractions of the demonstrations to imitate, each 0 < q ≤ 1.
        seeds: one policy is trained for each quantile and seed.
        number_trajectories: test episodes of each policy.
        max_steps: an episode is cut after so many steps.
        render: show test episodes in a window, one at a time.
        plotstyle: how the figure aggregates the seeds, one of `PLOT_STYLES`.
        options: the environment's own, all of them.
        wanted_training: hyper-parameters of the policies by name; the others have their defaults.
        wanted_acting: how policies turn class probabilities into actions; None is the environment's way.
        analyses: what the stage `analyze` looks at, some of `ANALYSES`.
        treatment: what is done with the demonstrations before policies learn from them.
        subsets: random subsets of the demonstrations that the study trains on for each quantile.
        implicit_loss: k, the mean loss of the base distribution that the proxy does not see, for the guarantee; None
            estimates it from the demonstrations.
        resample: what the study draws anew to see how far it carries, of `RESAMPLE`.
        resamples: how often.
        players_from: the data set that players are drawn from; None is the demonstrations themselves.
        methods: by which the study weighs episodes.
        wanted_algorithm: the optimiser; None is the environment's first.
        wanted_optimiser_steps: training steps of each of the optimiser's seeds, or a planner's effort; None is the
            algorithm's own number, or the environment's.
        wanted_optimisers: what figures show beside imitation; None is what `quantilizers.stages.plotting` chooses.
        force: replace what other settings, or the same ones, have made.
        workers: processes of this machine that do the work; None is this one.
        scheduler: of a Dask cluster that does it.
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
    options: Mapping[str, Any] = field(default_factory=dict)
    wanted_training: Mapping[str, Any] = field(default_factory=dict)
    wanted_acting: str | None = None
    analyses: tuple[str, ...] = ANALYSES[:3]
    treatment: Treatment = REFERENCE
    subsets: int = 10
    implicit_loss: float | None = None
    resample: str = "nothing"
    resamples: int = 50
    players_from: str | None = None
    methods: tuple[str, ...] = ("quantile",)
    wanted_algorithm: str | None = None
    wanted_optimiser_steps: int | None = None
    wanted_optimisers: tuple[str, ...] | None = None
    force: bool = False
    workers: int | None = None
    scheduler: str | None = None
    command: Sequence[str] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        for quantile in self.quantiles:
            if not 0 < quantile <= 1:
                raise UserError(
                    f"quantile {quantile:g} is impossible; each lies above 0 and is at most 1, such as 0.25"
                )
        if not self.quantiles or len(set(self.quantiles)) != len(self.quantiles):
            raise UserError("--quantiles needs one or more quantiles, each of them once")
        if self.seeds.stop <= self.seeds.start:
            raise UserError("--seed_nb must be at least 1")
        if self.seeds.stop > 2**32:
            raise UserError("--seed_min and --seed_nb must give seeds below 4,294,967,296")
        if self.seeds.start < 0:
            raise UserError("--seed_min must be at least 0")
        if self.number_trajectories < 1:
            raise UserError("--number_trajectories must be at least 1")
        if self.subsets < 2:
            raise UserError("--subsets must be at least 2; one random subset says nothing of others")
        if self.implicit_loss is not None and not 0 <= self.implicit_loss < math.inf:
            raise UserError("--implicit_loss is a mean loss; it must be a number from 0 on")
        if self.resample not in RESAMPLE:
            raise UserError(f"--resample is {self.resample!r}; it is one of {', '.join(RESAMPLE)}")
        if self.resamples < 2:
            raise UserError("--resamples must be at least 2; one draw of players says nothing of others")
        if self.players_from is not None and self.resample != "players":
            raise UserError("--players_from is for --resample players")
        check_executor_flags(self.workers, self.scheduler)
        if self.render and (self.workers is not None or self.scheduler is not None):
            raise UserError("--render True shows a window of this process; leave --workers and --scheduler out")
        if self.max_steps < 1:
            raise UserError("--max_steps must be at least 1")
        _check_known("plot style", self.plotstyle, PLOT_STYLES, "--plotstyle")
        if self.plotstyle == "lambda" and (self.environment.figures.second_axis is None or "lamb" not in self.options):
            raise UserError(f"the true reward of {self.environment.name} has no λ; choose another --plotstyle")
        for analysis in self.analyses:
            _check_known("analysis", analysis, ANALYSES, "--analysis")
        for method in self.methods:
            _check_known("method", method, tuple(RULES), "--methods")
        if len(set(self.methods)) < len(self.methods):
            raise UserError("--methods needs each method once")
        _check_known("algorithm", self.algorithm, ALGORITHMS, "--algorithm")
        algorithm = ALGORITHMS[self.algorithm]
        for name in self.wanted_optimisers or ():
            _check_known("algorithm", name, ALGORITHMS, "--optimisers")
        if self.wanted_optimiser_steps is not None and self.wanted_optimiser_steps < 1:
            raise UserError("--optimiser_steps must be at least 1")
        if self.wanted_optimiser_steps is not None and not (algorithm.steps or algorithm.plans):
            raise UserError(f"--algorithm {self.algorithm} is not trained; leave --optimiser_steps out")
        # Asking for these two checks them.
        _ = self.training, self.acting

    @cached_property
    def training(self) -> AnyTraining:
        """The hyper-parameters of the policies that imitate in the environment."""
        return training_of(self.environment, self.wanted_training)

    @cached_property
    def acting(self) -> Acting:
        """How policies turn class probabilities into actions."""
        return acting_of(self.environment, self.wanted_acting)

    @property
    def executes_here(self) -> bool:
        """Whether this process does the work."""
        return self.workers is None and self.scheduler is None

    @property
    def algorithm(self) -> str:
        """The optimiser, a key of `quantilizers.optimisers.algorithms.ALGORITHMS`."""
        return self.environment.experiment.optimisers[0] if self.wanted_algorithm is None else self.wanted_algorithm

    @property
    def optimiser_variant(self) -> str:
        """What marks the optimiser's measured rewards in their file names."""
        return variant_of(self.algorithm, self.environment.experiment.optimisers)

    @property
    def optimiser_steps(self) -> int:
        """Training steps of each of the optimiser's seeds, or a planner's effort."""
        if self.wanted_optimiser_steps is not None:
            return self.wanted_optimiser_steps
        algorithm = ALGORITHMS[self.algorithm]
        if algorithm.plans:
            return self.environment.planning.effort
        pictures = algorithm.steps_on_pictures
        return algorithm.steps if pictures is None or len(self.environment.observation_shape) == 1 else pictures

    def record(self) -> dict[str, Any]:
        """Return what figures note of the run that drew them."""
        data = self.layout.found_data
        return {
            "command": [*call_of("python quantilizer.py", "quantilizer").split(), *self.command],
            "environment": self.environment.name,
            "dataset": self.layout.dataset,
            "data_sha256": sha256_of(data) if data.is_file() else None,
            "settings": {
                "max_steps": self.max_steps,
                "number_trajectories": self.number_trajectories,
                "options": dict(self.options),
                "family": family_name(self.environment),
                "training": asdict(self.training),
                "acting": self.acting,
                "treatment": asdict(self.treatment),
            },
        }

    def asked(self) -> dict[str, Any]:
        """Return what a manifest notes beside the record."""
        return {
            "path": self.layout.path,
            "quantiles": list(self.quantiles),
            "seeds": list(self.seeds),
            "force": self.force,
        }

    def command_for(self, *stages: str, force: bool = False) -> str:
        """Return the command that runs other stages with these settings, for messages.

        Args:
            stages: which.
            force: whether what is there is replaced.
        """
        environment = self.environment
        words = [*call_of("python quantilizer.py", "quantilizer").split(), "--do", *stages]
        words += ["--env_name", environment.address or environment.name, "--dataset_name", self.layout.dataset]
        words += ["--quantiles", *map(str, self.quantiles)]
        words += ["--seed_min", str(self.seeds.start), "--seed_nb", str(len(self.seeds))]
        if {"optimize", "efforts"} & {*stages} and self.wanted_algorithm is not None:
            words += ["--algorithm", self.algorithm]
        if "optimize" in stages and self.wanted_optimiser_steps is not None:
            words += ["--optimiser_steps", str(self.optimiser_steps)]
        if {"train", "test"} & {*stages}:
            words += self._training_words()
            for name, value in asdict(self.treatment).items():
                words += [f"--{name}", str(value)] if value != getattr(REFERENCE, name) else []
        if {"test", "optimize", "efforts"} & {*stages}:
            words += self._episode_words()
        if "test" in stages and self.acting != acting_of(environment):
            words += ["--acting", self.acting]
        if force:
            words.append("--force")
        if self.layout.path:
            words += ["--path", self.layout.path]
        if self.layout.log.resolve() != log_directory().resolve():
            words += ["--log_dir", str(self.layout.log)]
        return shlex.join(words)

    def _training_words(self) -> list[str]:
        """Return the flags of the hyper-parameters that differ from the defaults."""
        words = []
        for parameter in fields(self.training):
            value = getattr(self.training, parameter.name)
            if value != parameter.default:
                words += [f"--{flag_of(parameter.name)}", *map(str, value if isinstance(value, tuple) else (value,))]
        return words

    def _episode_words(self) -> list[str]:
        """Return the flags of what differs from the environment's own episodes."""
        environment, words = self.environment, []
        if self.number_trajectories != environment.experiment.number_trajectories:
            words += ["--number_trajectories", str(self.number_trajectories)]
        if self.max_steps != environment.max_steps:
            words += ["--max_steps", str(self.max_steps)]
        different = {name: value for name, value in self.options.items() if value != environment.options.get(name)}
        if different:
            words += ["--env_option", *(f"{name}={value}" for name, value in different.items())]
        return words
