"""The layout of `log/`: the path of every file that is read or written there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from quantilizers.choices import (
    FINAL_OBSERVATIONS,
    RECORDED_REWARDS,
    FinalObservation,
    RecordedReward,
    check_settings,
    declared,
    setting,
)
from quantilizers.errors import MAX_LETTERS, UserError, shown

_PACKAGE = Path(__file__).resolve().parent
#: Environments that observe the games of another one differently, by name: they use its data sets.
DATA_OF = {"VideoPinballNoFrameskip-ram-v4": "VideoPinballNoFrameskip-v4"}
#: Longest path of a folder: systems take 4,096 bytes with the name of the file.
MAX_BYTES = 3_500
FIGURE_FORMATS = ("png", "svg", "pdf")
#: The stages that write figures.
DRAWING = ("inspect", "optimize", "efforts", "plot", "study", "analyze")


def shipped_log() -> Path:
    """Return the folder of the demonstrations and pictures that ship: `log/`, or the copy in an installed package."""
    installed = _PACKAGE / "log"
    return installed if installed.is_dir() else _PACKAGE.parent / "log"


def log_directory() -> Path:
    """Return the folder for results and data: the repository's `log/`, or `./log` where the package is installed."""
    installed = (_PACKAGE / "log").is_dir()
    return Path.cwd() / "log" if installed else _PACKAGE.parent / "log"


def data_folder(environment: str) -> str:
    """Return the name of the folder of an environment's data sets, below `log/`."""
    return DATA_OF.get(environment, environment)


def benchmark_file(log: Path, name: str) -> Path:
    """Return the result file of `scripts/benchmark.py`."""
    return log / "benchmarks" / f"{name}.json"


def one_name(value: str, what: str) -> str:
    """Return a plain file name of the thing that `what` describes.

    Raises:
        UserError: it is empty or blank, hidden, has a folder in it, is longer than files' names, or cannot be printed.
    """
    if not value.strip() or value.startswith(".") or Path(value).name != value or "\\" in value or "\0" in value:
        raise UserError(f"the {what} {value!r} is not a plain name; give one without folders, such as demo")
    if not value.isprintable() or len(value) > MAX_LETTERS:
        raise UserError(
            f"the {what} {shown(value)!r} has more than {MAX_LETTERS} letters or some that cannot be printed"
        )
    return value


def name_of_data(path: Path) -> str:
    """Return the name of the data set that a file or folder from elsewhere is.

    >>> name_of_data(Path("runs/.expert v2.npz"))
    'expert v2'
    """
    name = path.resolve().name if path.is_dir() else path.stem
    return name.lstrip(".") or "data"


@dataclass(frozen=True)
class Layout:
    """The paths of a run's files under `log/`.

    Attributes:
        log: the folder that holds everything.
        environment: the environment's name on the command line.
        dataset: the data set's name, without `.npz`.
        path: folder between the kind of file and its name, such as `run_42`; empty for none. `run_42` and
            `run_42/` are the same folder.
        figure_format: one of `FIGURE_FORMATS`.
        file: a recording from anywhere, in a layout of `quantilizers.datasets.formats`; None is the data set's file.
        final_observation: what stands for the observation after the last action where a recording has none.
        true_reward: the recording's field that is the true reward; None is its only field of rewards.
        reward: which reward a recording of another project contains, if it does not tell.

    Raises:
        UserError: the data set's name has a folder in it or is an optimiser's, or `path` leaves `log/`.
    """

    log: Path = field(
        metadata=setting(
            "folder of data sets and results",
            "log_dir",
            type=Path,
            metavar="FOLDER",
            shown="./log" if (_PACKAGE / "log").is_dir() else "the log/ of the repository",
        )
    )
    environment: str
    dataset: str = declared("demo", "demonstrations: log/ENV_NAME/NAME.npz", "dataset_name", metavar="NAME")
    path: str = declared("", "folder of this run's files, such as run_nb_42/", metavar="FOLDER")
    figure_format: str = declared("png", "file format of figures", "format", choices=FIGURE_FORMATS, stages=DRAWING)
    file: Path | None = field(
        default=None,
        metadata=setting(
            "demonstrations: a file or folder anywhere, of another project's too, which names the data set",
            "data",
            type=Path,
            metavar="FILE",
            shown="that of --dataset_name",
        ),
    )
    final_observation: FinalObservation = field(
        default="needed",
        metadata=setting(
            "where a recording lacks the observation after the last action: repeat the last one, or drop the last step",
            choices=FINAL_OBSERVATIONS,
        ),
    )
    true_reward: str | None = declared(
        None,
        "field of the file that is the true reward",
        metavar="FIELD",
        shown="its only field of rewards",
    )
    reward: RecordedReward | None = field(
        default=None,
        metadata=setting(
            "which reward a recording of another project has, if it does not tell; own is the environment's own",
            choices=RECORDED_REWARDS,
        ),
    )

    def __post_init__(self) -> None:
        one_name(self.dataset, "data set name")
        one_name(self.environment, "environment name")
        if self.dataset.partition("_")[0] == "optimiser":
            raise UserError(f"the data set name {self.dataset!r} would mix with the optimisers' files; give another")
        check_settings(self)
        folder = str(self.log / "report" / self.path)
        try:
            size = len(folder.encode())
        except UnicodeEncodeError:
            raise UserError(f"the name of the folder {folder} is not UTF-8; choose another one") from None
        if size > MAX_BYTES:
            raise UserError(f"the path of this run's folders has {size:,} bytes; choose one of at most {MAX_BYTES:,}")
        for kind in ("models", "rewards", "fig", "train", "study", "report"):
            root = (self.log / kind).resolve()
            if "\0" in self.path or not (root / self.path).resolve().is_relative_to(root):
                raise UserError(f"the path {self.path!r} leaves {self.log}; give a folder name such as run_1")

    @property
    def data(self) -> Path:
        """The data set: an npz file, or the folder of the same name without `.npz`."""
        return self.log / data_folder(self.environment) / f"{self.dataset}.npz"

    @property
    def found_data(self) -> Path:
        """The recording from elsewhere, the data set's file, or else the shipped one of that name."""
        if self.file is not None:
            return self.file
        shipped = shipped_log() / data_folder(self.environment) / self.data.name
        return shipped if shipped.is_file() and not self.data.exists() else self.data

    @property
    def cache(self) -> Path:
        """The folder of caches that can be computed from the data set again."""
        return self.log / "cache" / self.environment / self.dataset

    @property
    def base(self) -> Path:
        """Returns of many episodes of the base distribution from which the data set was drawn, if it is known."""
        return self.log / "base" / f"{self.dataset}_{self.environment}.npz"

    @property
    def found_base(self) -> Path:
        """The same file, or else the shipped one of that name."""
        shipped = shipped_log() / "base" / self.base.name
        return shipped if shipped.is_file() and not self.base.exists() else self.base

    @property
    def models(self) -> Path:
        """The folder of the trained policies."""
        return self.log / "models" / self.path

    def model(self, quantile: float, seed: int) -> Path:
        """The trained policy of one quantile and seed."""
        return self._in("models", f"{self.dataset}_{self.environment}_{quantile}_{seed}.keras")

    def rewards(self, seed: int) -> Path:
        """The test results of the policies of one seed."""
        return self._in("rewards", f"{self.dataset}_{self.environment}_{seed}.npz")

    def optimiser_rewards(self, seed: int, variant: str = "") -> Path:
        """The measured rewards of the optimiser of one seed; the environment's first algorithm has no variant."""
        return self._in("rewards", f"optimiser_{variant + '_' if variant else ''}{self.environment}_{seed}.npz")

    def optimiser_agent(self, algorithm: str, seed: int) -> Path:
        """The optimiser of one seed, trained or as a checkpoint."""
        return self._in("models", f"optimiser_{algorithm}_{self.environment}_{seed}.npz")

    def optimiser_events(self, algorithm: str, seed: int) -> Path:
        """The folder of TensorBoard event files of one optimiser's training."""
        return self._in("train", f"optimiser_{algorithm}_{self.environment}_{seed}")

    def optimiser_figure(self, algorithm: str) -> Path:
        """The figure of an optimiser's learning curves."""
        return self._in("fig", f"optimiser_{algorithm}_{self.environment}_learning.{self.figure_format}")

    def optimiser_effort_figure(self, algorithm: str) -> Path:
        """The figure of an optimiser's returns from little effort to much."""
        return self._in("fig", f"optimiser_{algorithm}_{self.environment}_efforts.{self.figure_format}")

    def optimiser_path(self, algorithm: str) -> Path:
        """An optimiser's returns from little effort to much; see `quantilizers.optimisers.paths`."""
        return self._in("study", f"optimiser_{algorithm}_{self.environment}_path.json")

    def figure(self, style: str) -> Path:
        """The figure of one plot style."""
        return self._in("fig", f"{self.dataset}_{self.environment}_{style}.{self.figure_format}")

    @property
    def report(self) -> Path:
        """The report, a page of HTML."""
        return self._in("report", f"{self.dataset}_{self.environment}.html")

    @property
    def study(self) -> Path:
        """The results of the study; its arms lie in the folder of the same name without `.json`."""
        return self._in("study", f"{self.dataset}_{self.environment}.json")

    @property
    def pressure(self) -> Path:
        """The measured KL divergences of agents from the imitator of all demonstrations."""
        return self._in("study", f"{self.dataset}_{self.environment}_pressure.json")

    @property
    def imitators(self) -> Path:
        """The comparison of imitators; each one's results lie in the folder of the same name without `.json`."""
        return self._in("study", f"{self.dataset}_{self.environment}_imitators.json")

    @property
    def runs(self) -> Path:
        """The folder of the runs' manifests."""
        return self.log / "runs"

    def lock(self, name: str) -> Path:
        """The lock that a process holds while it writes files of a kind, in this path and environment."""
        kinds = (self.log / "models").resolve()
        folder = self.runs / "locks" / (kinds / self.path).resolve().relative_to(kinds)
        return folder / f"{name}_{self.environment}.lock"

    def training_events(self, quantile: float, seed: int) -> Path:
        """The folder of TensorBoard event files of one policy's training."""
        return self._in("train", f"{self.dataset}_{self.environment}_{quantile}_{seed}")

    def _in(self, kind: str, name: str) -> Path:
        return self.log / kind / self.path / name
