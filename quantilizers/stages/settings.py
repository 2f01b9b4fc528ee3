"""The settings of a run. Each is declared once, in a field, from which its flag, YAML key, help and check are made."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

from quantilizers.choices import (
    BUDGETS,
    PLAYER_SELECTIONS,
    Acting,
    Budget,
    check_choice,
    check_settings,
    declared,
    given_to,
    setting,
    settings_in,
)
from quantilizers.envs.shipped import SHIPPED, environment_names
from quantilizers.errors import UserError
from quantilizers.layout import Layout, log_directory, name_of_data
from quantilizers.optimisers.algorithms import ALGORITHMS, algorithm_in, variant_of
from quantilizers.policies.hyper_parameters import MAX_HIDDEN_UNITS, AnyTraining, flag_of, hyper_parameters
from quantilizers.policies.selection_settings import REFERENCE, SelectionSettings
from quantilizers.programs import call_of
from quantilizers.quantilize import METHODS, check_quantile

if TYPE_CHECKING:
    from quantilizers.datasets.fields import Reading
    from quantilizers.envs.definition import EnvironmentDefinition

DEFAULT_ENVIRONMENT = "MountainCar-v0"
PLOT_STYLES = ("mean_seeds", "median_seeds", "distribution", "boxplot", "frontier", "lambda")
#: Figures and tables of `--do analyze`.
ANALYSES = (
    "smooth", "scatter", "average", "quantiles", "confusion_matrix", "pca_dataset", "pca_rollouts", "predict_dataset",
)  # fmt: skip
LARGEST_SEED = 2**32 - 1
#: Most seeds of a run, which are listed in its manifest.
MAX_SEEDS = 100_000
#: Most values of a hyper-parameter that imitators compares.
MAX_TRIED = 100
#: Sources of variation that a study may resample.
RESAMPLE = ("nothing", "players")
#: The stages that rank demonstrations or compare policies with them.
OF_DEMONSTRATIONS = ("inspect", "train", "test", "plot", "study", "imitators", "analyze", "report")
#: The stages in which agents act.
ACTING = ("test", "optimize", "efforts", "pressure", "study", "analyze")
#: The stages that show what was tested, with the conditions of those tests.
SHOWING = ("plot", "report")
#: The flags of these conditions.
CONDITIONS = ("number_trajectories", "max_steps", "env_option", "acting")
#: The stages in which options of the environment matter.
WITH_OPTIONS = ("inspect", "train", *ACTING, "imitators")
#: The stages in which quantiles matter, and seeds.
OF_QUANTILES = ("inspect", "train", "test", "pressure", "plot", "study", "analyze", "report")
OF_SEEDS = ("train", *ACTING, *SHOWING)
#: The stages in which hyper-parameters of policies matter.
TRAINING = ("train", "test", "pressure", "study", "imitators")
#: The stages that compare the selection and hyper-parameters with those of policies that are there.
COMPARING = ("optimize", "efforts", "pressure", "analyze", *SHOWING)


@dataclass(frozen=True)
class Seeds:
    """The flags that choose the seeds: a range, or a single one."""

    first: int = declared(
        0, "first seed", "seed_min", type=int, metavar="N", least=0, most=LARGEST_SEED, stages=OF_SEEDS
    )
    number: int = declared(
        5, "number of seeds", "seed_nb", type=int, metavar="N", least=1, most=MAX_SEEDS, stages=OF_SEEDS
    )
    single: int | None = declared(
        None,
        "this seed alone: --seed_min N --seed_nb 1",
        "seed",
        type=int,
        metavar="N",
        least=0,
        most=LARGEST_SEED,
        stages=OF_SEEDS,
    )

    def __post_init__(self) -> None:
        check_settings(self)

    def as_range(self) -> range:
        """Return the seeds."""
        first, number = (self.first, self.number) if self.single is None else (self.single, 1)
        return range(first, first + number)


@dataclass(frozen=True)
class Settings:
    """The settings of a run, which all stages share.

    Fields without a flag are made of several: `layout`, `seeds` and `selecting` of the settings that `Layout`, `Seeds`
    and `SelectionSettings` declare, `wanted_training` of the hyper-parameters, `options` of `--env_option`.
    A field `wanted_…` is what the user asked for; the property without `wanted_` is what is in force.

    Attributes:
        environment: where the agents act.
        layout: where the files lie.
        quantiles: fractions of the demonstrations to imitate, each 0 < q ≤ 1.
        seeds: one policy is trained for each quantile and seed.
        options: all options of the environment.
        wanted_training: hyper-parameters of the policies by name; the others have their defaults.
        selecting: selection and budget.
        wanted_optimisers: shown in figures beside imitation; None leaves the choice to `quantilizers.stages.plotting`.
        workers: worker processes on this machine; None is this process.
        command: the arguments as the user typed them, for the record.
        recorded: the data set, if it was read to find `max_steps`.
        given: the flags that were given, also in a file of `--config`.

    Raises:
        UserError: a value is impossible.
    """

    environment: EnvironmentDefinition = field(
        metadata=setting(
            f"environment: {', '.join(environment_names())}, or FILE.py:NAME for one of your own, whose code is run",
            "env_name",
            aliases=("env_id",),
            metavar="NAME",
            shown=DEFAULT_ENVIRONMENT,
        )
    )
    layout: Layout
    quantiles: tuple[float, ...] = field(
        metadata=setting(
            "fractions of the demonstrations to imitate; 1 is imitation",
            type=float,
            several=True,
            metavar="Q",
            shown="the environment's own",
            stages=OF_QUANTILES,
        )
    )
    seeds: range
    number_trajectories: int = field(
        metadata=setting(
            "test episodes of each policy",
            type=int,
            least=1,
            metavar="N",
            shown="the environment's own, 100 on Mountain Car",
            stages=ACTING,
        )
    )
    max_steps: int = field(
        metadata=setting(
            "length at which test episodes are cut",
            type=int,
            least=1,
            metavar="N",
            shown="the environment's own, 200 on Mountain Car; on Video Pinball that of the longest demonstration",
            stages=ACTING,
        )
    )
    render: bool = declared(
        False,
        "show the first test episode of each policy in a window",
        metavar="True|False",
        stages=("test",),
    )
    plotstyle: str = declared(PLOT_STYLES[0], "figure", choices=PLOT_STYLES, metavar="STYLE", stages=("plot",))
    options: Mapping[str, Any] = field(default_factory=dict)
    wanted_training: Mapping[str, Any] = field(default_factory=dict)
    wanted_acting: str | None = declared(
        None,
        "how class probabilities become an action",
        "acting",
        choices=get_args(Acting),
        shown="the environment's own",
        stages=("test", "study", "analyze"),
    )
    analyses: tuple[str, ...] = declared(
        ANALYSES[:3],
        "figures and tables of analyze",
        "analysis",
        several=True,
        choices=ANALYSES,
        stages=("analyze",),
    )
    selecting: SelectionSettings = REFERENCE
    subsets: int = declared(
        10,
        "number of random subsets of the demonstrations that each quantile is compared with",
        type=int,
        least=2,
        why="one random subset says nothing of others",
        stages=("study",),
    )
    budgets: tuple[Budget, ...] = declared(
        BUDGETS,
        "lengths of training that study compares selections under",
        several=True,
        choices=BUDGETS,
        stages=("study",),
    )
    controls: tuple[str, ...] | None = declared(
        None,
        "further selections that study compares with random subsets: episodes of the top players, and the top episodes "
        "within each player; none if it is given without a value",
        type=str,
        several=True,
        longest=len(PLAYER_SELECTIONS),
        choices=PLAYER_SELECTIONS,
        shown="both where two players or more are known",
        stages=("study",),
    )
    implicit_loss: float | None = declared(
        None,
        "k of the guarantee E_q[U] − k/q: mean loss of the demonstrations that the proxy does not see",
        type=float,
        least=0,
        why="it is a mean loss",
        metavar="K",
        shown="estimated from the demonstrations",
        stages=("study",),
    )
    resample: str = declared(
        RESAMPLE[0],
        "players: also rerun the study with whole players drawn with replacement, to see how far it generalises",
        choices=RESAMPLE,
        stages=("study",),
    )
    resamples: int = declared(
        50,
        "number of bootstrap samples for --resample players",
        type=int,
        least=2,
        why="one draw of players says nothing of others",
        stages=("study",),
    )
    players_from: str | None = declared(
        None,
        "larger data set from which --resample players draws",
        metavar="DATASET_NAME",
        shown="the demonstrations themselves",
        stages=("study",),
    )
    methods: tuple[str, ...] = declared(
        METHODS[:1],
        "selection rules that study compares",
        several=True,
        choices=METHODS,
        stages=("study",),
    )
    try_history: tuple[int, ...] | None = declared(
        None,
        "histories that imitators compares",
        several=True,
        type=int,
        least=0,
        most=1000,
        longest=MAX_TRIED,
        metavar="N",
        shown="0 1 2 4 8",
        stages=("imitators",),
    )
    try_hidden_units: tuple[int, ...] | None = declared(
        None,
        "widths of the two hidden layers that imitators compares",
        several=True,
        type=int,
        least=1,
        most=MAX_HIDDEN_UNITS,
        longest=MAX_TRIED,
        metavar="N",
        shown="20 64 128",
        stages=("imitators",),
    )
    try_max_epochs: tuple[int, ...] | None = declared(
        None,
        "lengths of training that imitators compares",
        several=True,
        type=int,
        least=1,
        longest=MAX_TRIED,
        metavar="N",
        shown="10 30 100",
        stages=("imitators",),
    )
    wanted_algorithm: str | None = declared(
        None,
        "optimiser that optimize trains and plot shows",
        "algorithm",
        choices=tuple(ALGORITHMS),
        shown="the environment's own, sarsa on Mountain Car",
        stages=("optimize", "efforts", "plot", "report"),
    )
    wanted_optimiser_steps: int | None = declared(
        None,
        "training steps of each of the optimiser's seeds. For a planner its effort: steps looked ahead on Mountain "
        "Car, policies tried on Hopper, sequences tried for each decision on Video Pinball. For sampling_quantilizer "
        "the rollouts n of the imitator from each start. For kl_control the steps of PPO, 100,000, where an "
        "environment declares no dynamics",
        "optimiser_steps",
        aliases=("optimizer_steps", "effort", "rollouts"),
        type=int,
        least=1,
        metavar="STEPS",
        shown="the algorithm's own, such as 40,000 for sarsa; a planner's is the environment's",
        stages=("optimize", "efforts"),
    )
    wanted_top_k: int | None = declared(
        None,
        "k of sampling_quantilizer, which plays one of the k rollouts with the highest proxy returns",
        "top_k",
        type=int,
        least=1,
        shown="a tenth of the rollouts",
        stages=("optimize",),
    )
    wanted_beta: float | None = declared(
        None,
        "beta of kl_control, which maximises the proxy return less its KL from the imitator over beta",
        "beta",
        type=float,
        metavar="X",
        shown="the environment's own, 0.2 on Mountain Car",
        stages=("optimize",),
    )
    wanted_optimisers: tuple[str, ...] | None = declared(
        None,
        "optimisers beside --algorithm: optimize trains them, and plot and report show them",
        "optimisers",
        aliases=("optimizers",),
        several=True,
        choices=tuple(ALGORITHMS),
        metavar="ALGORITHM",
        shown="none to train; of those measured, random and the one with the greatest proxy return to show",
        stages=("optimize", "plot", "report"),
    )
    force: bool = declared(
        False, "do finished work again, and replace what was made with other settings or data", type=bool
    )
    wide: bool = declared(False, "print all columns of tables, even if they are wider than the terminal", type=bool)
    workers: int | None = declared(
        None,
        "worker processes on this machine; the results are the same",
        type=int,
        shown="this process, and for long training one worker for each processor",
    )
    scheduler: str | None = declared(
        None, "address of a Dask cluster that does the work, tcp://HOST:8786 or tls://HOST:8786", metavar="ADDRESS"
    )
    command: Sequence[str] = field(default_factory=tuple)
    recorded: Reading | None = field(default=None, repr=False, compare=False)
    given: frozenset[str] = field(default=frozenset(), repr=False, compare=False)

    def __post_init__(self) -> None:
        check_settings(self)
        for quantile in self.quantiles:
            check_quantile(quantile)
        if not self.quantiles or len(set(self.quantiles)) != len(self.quantiles):
            raise UserError("--quantiles needs one or more quantiles, each of them once")
        if len(set(self.methods)) < len(self.methods):
            raise UserError("--methods needs each method once")
        if len(set(self.controls or ())) < len(self.controls or ()):
            raise UserError("--controls needs each selection once")
        if len(set(self.budgets)) < len(self.budgets):
            raise UserError("--budgets needs each budget once")
        Seeds(self.seeds.start, len(self.seeds))
        if self.seeds[-1] > LARGEST_SEED:
            raise UserError(f"--seed_min and --seed_nb must give seeds up to {LARGEST_SEED:,}")
        if self.players_from is not None and self.resample != "players":
            raise UserError("--players_from needs --resample players")
        check_workers(self.workers, self.scheduler)
        if self.plotstyle == "lambda" and not self.has_lambda:
            raise UserError(f"the true reward of {self.environment.name} has no λ; choose another --plotstyle")
        source = self.environment.address or self.environment.name
        for name in self.environment.experiment.optimisers:
            check_choice(f"{source}: optimisers", name, ALGORITHMS)
        algorithm = algorithm_in(self.algorithm, self.environment)
        if self.wanted_optimiser_steps is not None and not (algorithm.steps or algorithm.plans):
            raise UserError(f"--algorithm {self.algorithm} is not trained; leave --optimiser_steps out")
        if self.wanted_top_k is not None and not algorithm.imitates:
            names = " or ".join(name for name, one in ALGORITHMS.items() if one.imitates)
            raise UserError(f"--top_k is for --algorithm {names}, not for {self.algorithm}")
        if algorithm.penalised:
            if not 0 <= self.beta < math.inf or self.wanted_beta == 0:
                raise UserError(f"--beta is {self.beta:g}; give a finite number above 0")
        elif self.wanted_beta is not None:
            names = " or ".join(name for name, one in ALGORITHMS.items() if one.penalised)
            raise UserError(f"--beta is for --algorithm {names}, not for {self.algorithm}")
        if self.top_k > self.optimiser_steps:
            raise UserError(f"--top_k {self.top_k:,} of --rollouts {self.optimiser_steps:,} are impossible")
        # Both properties validate on access.
        _ = self.training, self.acting

    @property
    def has_lambda(self) -> bool:
        """Whether the true reward is the proxy less λ times the quantity of the second axis."""
        return self.environment.figures.second_axis is not None and "lamb" in self.options

    @cached_property
    def training(self) -> AnyTraining:
        """The hyper-parameters of the policies."""
        from quantilizers.policies.policy import training_of

        return training_of(self.environment, self.wanted_training, lambda name: f"--{flag_of(name)}")

    @cached_property
    def acting(self) -> Acting:
        """How policies turn class probabilities into actions."""
        from quantilizers.policies.policy import acting_of

        return acting_of(self.environment, self.wanted_acting)

    def with_algorithm(self, algorithm: str) -> Settings:
        """Return settings of another optimiser with its own defaults, because flags of effort are for `--algorithm`."""
        if algorithm == self.algorithm:
            return self
        return replace(
            self, wanted_algorithm=algorithm, wanted_optimiser_steps=None, wanted_top_k=None, wanted_beta=None
        )

    @property
    def algorithm(self) -> str:
        """The optimiser, a key of `quantilizers.optimisers.algorithms.ALGORITHMS`."""
        return self.environment.experiment.optimisers[0] if self.wanted_algorithm is None else self.wanted_algorithm

    @property
    def optimiser_variant(self) -> str:
        """The part of file names that tells this optimiser's rewards from others'."""
        return variant_of(self.algorithm, self.environment.experiment.optimisers)

    @property
    def optimiser_steps(self) -> int:
        """Training steps of each of the optimiser's seeds, or a planner's effort."""
        if self.wanted_optimiser_steps is not None:
            return self.wanted_optimiser_steps
        algorithm = algorithm_in(self.algorithm, self.environment)
        if algorithm.plans:
            return self.environment.planning.effort
        pictures = algorithm.steps_on_pictures
        return algorithm.steps if pictures is None or len(self.environment.observation_shape) == 1 else pictures

    @property
    def beta(self) -> float:
        """One over the weight of KL control's penalty; 0 for other algorithms, and where nothing says it."""
        betas = self.environment.planning.betas
        if not ALGORITHMS[self.algorithm].penalised:
            return 0.0
        if self.wanted_beta is None:
            return betas[len(betas) // 2] if betas else 0.0
        return self.wanted_beta

    @property
    def effort(self) -> float:
        """What the optimiser does more of: steps, a planner's effort, rollouts, or beta."""
        return self.beta if ALGORITHMS[self.algorithm].penalised else self.optimiser_steps

    @property
    def top_k(self) -> int:
        """Number of the best rollouts among which the sampling quantilizer chooses; 0 for other algorithms."""
        if not ALGORITHMS[self.algorithm].imitates:
            return 0
        return max(1, self.optimiser_steps // 10) if self.wanted_top_k is None else self.wanted_top_k

    @cached_property
    def data_sha256(self) -> str | None:
        """The SHA-256 of the data set's file; None if it is missing."""
        from quantilizers.files import sha256_of, sha256_of_folder

        data = self.layout.found_data
        if self.layout.file is not None and data.is_dir():
            return sha256_of_folder(data)
        return sha256_of(data) if data.is_file() else None

    @cached_property
    def definition(self) -> dict[str, str]:
        """Digests of what the environment is; see `quantilizers.envs.identity`."""
        from quantilizers.envs.identity import identity_of

        return identity_of(self.environment)

    def conditions(self) -> dict[str, Any]:
        """Return the settings that all policies and test results of the run depend on, as recipes note them."""
        from quantilizers.policies.policy import family_name, scaling_of

        scaling = scaling_of(self.environment)
        return {
            "max_steps": self.max_steps,
            "number_trajectories": self.number_trajectories,
            "options": dict(self.options),
            **({"definition": self.definition} if self.definition else {}),
            "treatment": self.selecting.noted,
            "training": asdict(self.training),
            "family": family_name(self.environment),
            "acting": self.acting,
            **({"scaling": scaling} if scaling != "none" else {}),
        }

    def record(self) -> dict[str, Any]:
        """Return what figures note of the run that drew them."""
        return {
            "command": [*call_of("python quantilizer.py", "quantilizer").split(), *self.command],
            "environment": self.environment.name,
            "dataset": self.layout.dataset,
            "data_sha256": self.data_sha256,
            "settings": self.conditions(),
        }

    def command_for(self, *stages: str, force: bool = False) -> str:
        """Return the command that runs other stages with these settings, for messages.

        Args:
            stages: which.
            force: whether existing results are replaced.
        """
        environment = self.environment
        # What is compared with trained policies is said as for training.
        stages_of_policies = (*stages, "train") if {*COMPARING} & {*stages} else stages
        words = [*call_of("python quantilizer.py", "quantilizer").split(), "--do", *stages]
        words += ["--env_name", environment.address or environment.name, "--dataset_name", self.layout.dataset]
        words += _words("data", self.layout.file or ()) + _words("true_reward", self.layout.true_reward or ())
        words += _words("reward", self.layout.reward or ())
        if self.layout.final_observation != "needed":
            words += _words("final_observation", self.layout.final_observation)
        if {*OF_QUANTILES} & {*stages}:
            words += ["--quantiles", *map(str, self.quantiles)]
        words += ["--seed_min", str(self.seeds.start), "--seed_nb", str(len(self.seeds))]
        words += self._words_of(self, stages, self._defaults())
        if {*TRAINING} & {*stages_of_policies}:
            for name, value in asdict(self.training).items():
                if value != getattr(type(self.training), name):
                    words += _words(flag_of(name), value)
        if {*WITH_OPTIONS} & {*stages}:
            own = environment.options
            different = {name: value for name, value in self.options.items() if value != own.get(name)}
            words += _words("env_option", [f"{name}={value}" for name, value in different.items()])
        words += self._words_of(self.selecting, stages_of_policies, asdict(REFERENCE))
        if force:
            words.append("--force")
        if self.layout.path:
            words += ["--path", self.layout.path]
        if self.layout.log.resolve() != log_directory().resolve():
            words += ["--log_dir", str(self.layout.log)]
        return shlex.join(words)

    def _defaults(self) -> dict[str, Any]:
        """Return what the fields are where their flags are not given."""
        from quantilizers.policies.policy import acting_of

        environment = self.environment
        defaults = {one.name: one.default for one in settings_in(self).values()}
        return defaults | {
            "quantiles": self.quantiles,  # they are named apart
            "number_trajectories": environment.experiment.number_trajectories,
            "max_steps": environment.max_steps,
            "wanted_acting": acting_of(environment),
        }

    @staticmethod
    def _words_of(declaring: Any, stages: Iterable[str], defaults: Mapping[str, Any]) -> list[str]:
        """Return the flags of the settings on which one of the stages depends, and that are not the default."""
        words = []
        for flag, one in settings_in(declaring).items():
            value = getattr(declaring, one.name)
            if {*one.metadata.get("stages", ())} & {*stages} and value is not None and value != defaults[one.name]:
                words += _words(flag, value)
        return words


def _words(flag: str, value: Any) -> list[str]:
    values = value if isinstance(value, (list, tuple)) else [value]
    return [f"--{flag}", *map(str, values)] if values else []


def check_workers(workers: int | None, scheduler: str | None) -> None:
    """Refuse flags that name no executor."""
    if workers is not None and workers < 1:
        raise UserError("--workers must be at least 1; leave it out to have the number chosen")
    if workers is not None and scheduler is not None:
        raise UserError("--workers are processes of this machine, --scheduler is a cluster; give one or the other")
    if scheduler is not None:
        from quantilizers.execution.executor import check_address  # help needs no NumPy

        try:
            check_address(scheduler)
        except UserError as error:
            raise UserError(f"--scheduler: {error}") from None


def settings_from(given: Mapping[str, Any], command: Sequence[str]) -> Settings:
    """Return the settings that flags give.

    Args:
        given: values by flag, without those that were not given.
        command: the words as the user typed them.

    Raises:
        UserError: a value is impossible, or the environment or its file is missing.
    """
    from quantilizers.envs.registry import environment_and_options

    if "seed" in given and any(word.partition("=")[0] in ("--seed_min", "--seed_nb") for word in command):
        raise UserError("--seed is one seed, --seed_min and --seed_nb are several; give one or the other")
    address = given.get("env_name", DEFAULT_ENVIRONMENT)
    environment, options = environment_and_options(address, dict(given.get("env_option", ())))
    layout = layout_from(given, environment)
    values: dict[str, Any] = {"quantiles": environment.experiment.quantiles}
    values |= {"number_trajectories": environment.experiment.number_trajectories, **given_to(Settings, given)}
    if "max_steps" not in values:
        values["recorded"] = recorded = recorded_for_horizon(environment, layout)
        values["max_steps"] = environment.max_steps if recorded is None else int(recorded.episodes.lengths.max())
    values |= {
        "environment": environment,
        "layout": layout,
        "seeds": Seeds(**given_to(Seeds, given)).as_range(),
        "options": options,
        "wanted_training": {name: given[flag_of(name)] for name in hyper_parameters() if flag_of(name) in given},
        "selecting": SelectionSettings(**given_to(SelectionSettings, given)),
    }
    return Settings(**values, command=tuple(command), given=frozenset(given))


#: How the command line is told which reward is the true one, for messages.
TELL_REWARD = "--true_reward FIELD names the true reward, and --reward says which the only field of rewards is"


def layout_from(given: Mapping[str, Any], environment: EnvironmentDefinition) -> Layout:
    """Return the layout that flags give; a file of `--data` names the data set, unless `--dataset_name` does."""
    named = {"dataset": name_of_data(given["data"])} if "data" in given else {}
    return Layout(environment=environment.name, **{"log": log_directory(), **named, **given_to(Layout, given)})


def ways_to_demonstrations(environment: EnvironmentDefinition, layout: Layout) -> str:
    """Return the commands that record or fetch a missing data set, for messages."""
    record = call_of("python play/gather_data.py", "quantilizer-record")
    fetch = call_of("sh scripts/load_data.sh", "quantilizer-data")
    address = environment.address or environment.name
    words = ["--env_name", address]
    folder = ["--log_dir", str(layout.log)] if layout.log.resolve() != log_directory().resolve() else []
    by_hand = f"record one with {record} {shlex.join([*words, '--filename', layout.dataset, *folder])}"
    if address in SHIPPED:
        return f"{by_hand}, or fetch people's play with {fetch}"
    bring = shlex.join([*words, *folder])
    return f"{by_hand}, name a file with --data FILE, or bring files in with {fetch} {bring} --from FILE"


def recorded_for_horizon(environment: EnvironmentDefinition, layout: Layout) -> Reading | None:
    """Return the demonstrations if test episodes are cut at the length of the longest one.

    None stands for the environment's own horizon, also if the demonstrations cannot be read: the stages that need them
    report why.
    """
    if not environment.experiment.cut_as_demonstrations:
        return None
    from quantilizers.datasets.demonstrations import find_recording

    try:
        return find_recording(layout, environment)
    except UserError:
        return None
