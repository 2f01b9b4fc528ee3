"""The words that flags take, names of flags, and flags that programs share; help needs nothing else of the stages."""

from __future__ import annotations

import argparse

from quantilizers.errors import UserError

PLOT_STYLES = ("mean_seeds", "median_seeds", "distribution", "boxplot", "frontier", "lambda")
#: What `--do analyze` can look at.
ANALYSES = (
    "smooth", "scatter", "average", "quantiles", "confusion_matrix", "pca_dataset", "pca_rollouts", "predict_dataset",
)  # fmt: skip
#: What a study may draw anew.
RESAMPLE = ("nothing", "players")
#: Flags of hyper-parameters that are not called as these are.
_FLAGS = {"steps": "training_steps"}


def flag_of(hyper_parameter: str) -> str:
    """Return the name of a hyper-parameter's flag, without dashes."""
    return _FLAGS.get(hyper_parameter, hyper_parameter)


def add_executor_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say who does the work; where they are not given, nothing is set."""
    parser.add_argument(
        "--workers",
        type=int,
        default=argparse.SUPPRESS,
        help="so many processes of this machine do the work, with the same results (default: this process, and for "
        "long training one for each processor)",
    )
    parser.add_argument(
        "--scheduler",
        default=argparse.SUPPRESS,
        metavar="ADDRESS",
        help="a Dask cluster does the work, with the same results: tcp://HOST:8786 or tls://HOST:8786",
    )


def check_executor_flags(workers: int | None, scheduler: str | None) -> None:
    """Refuse what nobody can do the work with.

    Raises:
        UserError: there are no workers, or both flags are given.
    """
    if workers is not None and workers < 1:
        raise UserError("--workers must be at least 1; leave it out for as many as the work is worth")
    if workers is not None and scheduler is not None:
        raise UserError("--workers are processes of this machine, --scheduler is a cluster; give one or the other")
