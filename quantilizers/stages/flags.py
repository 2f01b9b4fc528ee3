"""The words that flags take, and the names of flags; the command line's help needs nothing else of the stages."""

from __future__ import annotations

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
