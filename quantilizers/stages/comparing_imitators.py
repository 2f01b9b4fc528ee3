"""The stage `imitators`: which hyper-parameters give held-out players the highest likelihood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.summary import dataset_title
from quantilizers.evaluation.intervals import Interval
from quantilizers.policies.encoding import LEAST_PROBABILITY
from quantilizers.policies.hyper_parameters import PerceptronTraining
from quantilizers.progress import ProgressBar
from quantilizers.stages.finished import delete, record_difference, refuse_other, write_record
from quantilizers.stages.run import Run
from quantilizers.stages.settings import Settings
from quantilizers.studies.imitators import (
    FOLDS,
    HeldOut,
    at_the_edge,
    chosen,
    controls,
    cross_validate,
    grid,
    numbers_learned,
    players_of,
    seconds_of,
)
from quantilizers.terminal import terminal_table, wrapped

#: How the likelihood of held-out steps is measured, as the results' file notes it.
MEASURED = {"folds": FOLDS, "least_probability": LEAST_PROBABILITY}


def _imitators(settings: Settings) -> list[PerceptronTraining]:
    return grid(settings.training, settings.try_history, settings.try_hidden_units, settings.try_max_epochs)


def _measured(settings: Settings) -> dict[str, Any]:
    """Return how the likelihoods are measured, and of which imitators where flags say it, as the results note it."""
    tried = {name: getattr(settings, name) for name in ("try_history", "try_hidden_units", "try_max_epochs")}
    return {**MEASURED, **{name: values for name, values in tried.items() if values is not None}}


def check(run: Run) -> None:
    """Refuse a single episode, and to replace results of other settings or data."""
    settings = run.settings
    _imitators(settings)
    players_of(run.demonstrations)
    if not settings.force:
        path = settings.layout.imitators
        refuse_other(path, "made", record_difference(path, settings, _measured(settings)))


def forget(run: Run) -> None:
    """Delete the cache of the imitators, and the results."""
    imitators = run.settings.layout.imitators
    delete("imitators", sorted(imitators.with_suffix("").glob("*.npz")))
    delete("results", [imitators])


def run(run: Run) -> None:
    """Cross-validate the imitators over players, print their likelihoods, and choose one.

    A stopped stage resumes with the missing imitators.
    """
    check(run)
    settings = run.settings
    environment, layout = settings.environment, settings.layout
    imitators = _imitators(settings)
    demonstrations = run.demonstrations.with_observations()
    with (
        run.executor(seconds_of(demonstrations, imitators)) as executor,
        ProgressBar(total=len(imitators), doing="imitating", unit="imitators") as bar,
    ):

        def note(imitator: PerceptronTraining, found: HeldOut) -> None:
            bar.set_postfix_str(f"history {imitator.history}, {found.mean.estimate:.3f}", refresh=False)
            bar.update()

        results = cross_validate(demonstrations, imitators, layout.imitators.with_suffix(""), note, executor)
    known = controls(demonstrations)
    choice = chosen(demonstrations, results)
    print(
        wrapped(
            f"{environment.name}, {dataset_title(layout)}: mean log-likelihood of a held-out step in nats "
            f"[95 % interval over {known['frequencies'].mean.over}]"
        )
    )
    print(_table(demonstrations, results, known, choice, settings.wide))
    own = results[imitators[0]]
    print(wrapped(f"chosen: {_description(choice)}; {results[choice].less(own)} above {_description(imitators[0])}"))
    if edge := at_the_edge(choice, imitators):
        print(f"it is at the upper edge of the grid in {', '.join(edge)}; more may be better")
    taught = replace(settings, wanted_training=asdict(choice), wanted_acting="sample")
    print(f"it acts by sampling: {taught.command_for('train', 'test')}")
    record = settings.record()
    record["settings"] |= _measured(settings)
    numbers = {
        "imitators": [
            {**_imitator_numbers(demonstrations, imitator), **_numbers(found), "less_own": _interval(found.less(own))}
            for imitator, found in results.items()
        ],
        "controls": {name: _numbers(found) for name, found in known.items()},
        "chosen": _imitator_numbers(demonstrations, choice),
    }
    write_record(layout.imitators, record, numbers)


def _table(
    demonstrations: Demonstrations,
    results: Mapping[PerceptronTraining, HeldOut],
    known: Mapping[str, HeldOut],
    choice: PerceptronTraining,
    wide: bool,
) -> str:
    """Return a row for each imitator, the best first, and one for each control."""
    best_first = sorted(results, key=lambda imitator: -results[imitator].mean.estimate)
    best = results[best_first[0]]
    rows = [
        [
            _description(imitator) + (" (chosen)" if imitator == choice else ""),
            f"{results[imitator].mean:.4f}",
            "–" if results[imitator] is best else f"{results[imitator].less(best):.4f}",
            f"{numbers_learned(demonstrations, imitator):,}",
        ]
        for imitator in best_first
    ]
    rows += [[f"control: {name}", f"{found.mean:.4f}", f"{found.less(best):.4f}", "–"] for name, found in known.items()]
    return terminal_table(["imitator", "log-likelihood", "less the best", "numbers learned"], rows, wide)


def _description(imitator: PerceptronTraining) -> str:
    units = " ".join(map(str, imitator.hidden_units)) or "none"
    long = f"{imitator.updates:,} updates" if imitator.updates else f"{imitator.max_epochs} epochs"
    return f"history {imitator.history}, units {units}, {long}"


def _imitator_numbers(demonstrations: Demonstrations, imitator: PerceptronTraining) -> dict[str, Any]:
    return {**asdict(imitator), "numbers_learned": numbers_learned(demonstrations, imitator)}


def _numbers(found: HeldOut) -> dict[str, Any]:
    return {"log_likelihood": _interval(found.mean), "of_players": found.log_likelihoods.tolist()}


def _interval(interval: Interval) -> dict[str, Any]:
    return {"estimate": interval.estimate, "interval_95": list(interval.bounds), "over": interval.over}
