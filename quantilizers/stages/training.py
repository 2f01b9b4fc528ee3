"""The stage `train`: imitate the selection of each quantile, with one policy for each seed."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from quantilizers.errors import NotInstalledError
from quantilizers.evaluation.intervals import mean_interval
from quantilizers.evaluation.measuring import PolicyJob
from quantilizers.event_files import event_writer
from quantilizers.layout import Layout
from quantilizers.numbers_in_words import all_or_some
from quantilizers.policies.keras_files import save_policy
from quantilizers.policies.policy import DivergedError, TrainedPolicy, family_of, learned_nothing
from quantilizers.policies.selection_settings import Selection
from quantilizers.policies.training_jobs import shared_selections, train
from quantilizers.progress import ProgressBar
from quantilizers.stages.finished import delete, weights_hash
from quantilizers.stages.run import Run
from quantilizers.terminal import terminal_table

if TYPE_CHECKING:
    from tensorboard.summary import Writer

FEW_EPISODES = 5


def _check_libraries() -> None:
    """Refuse to train without TensorFlow and Keras, which take seconds to import."""
    for module in ("tensorflow", "keras"):
        if importlib.util.find_spec(module) is None:
            raise NotInstalledError(f"policies need {module}, which is not installed", module)


def check(run: Run) -> None:
    """Refuse unusable demonstrations, missing libraries, and policies with another recipe in this run's place."""
    # Demonstrations that cannot be ranked are refused even with --force.
    _ = run.selections
    if run.settings.force or len(run.trained) < len(run.jobs):
        _check_libraries()


def forget(run: Run) -> None:
    """Delete the policies of a run, and the checkpoints of unfinished ones."""
    layout = run.settings.layout
    delete("policies", [path for job in run.jobs for path in (layout.model(*job), _checkpoint(layout, *job))])


def run(run: Run) -> None:
    """Train and save the missing policies, and print a table of held-out accuracy and loss.

    Raises:
        DivergedError: the loss of a policy became NaN or infinite; the others are saved.
    """
    settings, jobs, layout = run.settings, run.jobs, run.settings.layout
    missing = [job for job in jobs if job not in run.trained]
    _warn_of_few(run.selections.values())
    for job in run.trained:
        _checkpoint(layout, *job).unlink(missing_ok=True)
    held_out: dict[PolicyJob, Mapping[str, float]] = {
        job: note.get("held_out", {}) for job, note in run.trained.items()
    }
    if missing:
        if run.trained:
            print(f"{all_or_some(len(run.trained), len(jobs), 'policy', 'policies')} already trained")
        held_out |= _train(run, missing)
    latest = {(*job, name): value for job, curves in held_out.items() for name, value in curves.items()}
    if all((*job, "accuracy/validation") in latest for job in jobs):
        print("predictions of held-out steps, beside baselines without observations; mean over seeds [95 % interval]")
        print(held_out_table(latest, settings.quantiles, settings.seeds, settings.wide))
    if missing:
        print(f"trained {len(missing)} {'policies' if len(missing) > 1 else 'policy'} in {layout.models}")
    else:
        print(f"{all_or_some(len(jobs), len(jobs), 'policy', 'policies')} already trained; see {layout.models}")


def _train(run: Run, missing: Collection[PolicyJob]) -> dict[PolicyJob, Mapping[str, float]]:
    """Train and save the missing policies, with the same bits as if all were trained; return `held_out` of each."""
    _check_libraries()
    settings, training = run.settings, run.training
    environment, layout, seeds, selecting = settings.environment, settings.layout, settings.seeds, settings.selecting
    # Observations that the file leaves out are recomputed only for quantiles that are trained.
    learned = [quantile for quantile in settings.quantiles if any((quantile, seed) in missing for seed in seeds)]
    batches = family_of(environment).plan(run.selections, seeds, training, missing)
    total, seconds = sum(batch.steps for batch in batches), sum(batch.seconds for batch in batches)
    checkpoint = partial(_checkpoint, layout)
    held_out: dict[PolicyJob, Mapping[str, float]] = {}
    trained: dict[float, list[TrainedPolicy]] = {quantile: [] for quantile in learned}
    weighted = {quantile: weights_hash(selection) for quantile, selection in run.selections.items()}
    with (
        run.executor(seconds) as executor,
        ProgressBar(total=total, doing="training", unit=f"{training.unit}s") as bar,
        closing(ProgressMonitor(layout, missing, bar)) as monitor,
    ):
        selections = dict(run.selections)
        if executor.in_process:
            selections |= run.observed_selections(learned)
        shared = shared_selections(selections, selecting, run.demonstrations)
        try:
            for policy in train(batches, shared, monitor, executor, checkpoint):
                job, path = (policy.quantile, policy.seed), layout.model(policy.quantile, policy.seed)
                held_out[job] = monitor.held_out(*job)
                trained[policy.quantile].append(replace(policy, weights=[], archive=None))
                more = {"weights": weighted[policy.quantile], **({"held_out": held_out[job]} if held_out[job] else {})}
                ranked = replace(policy, selecting=selecting, options=run.settings.options)
                save_policy(path, environment, ranked, more)
                checkpoint(*job).unlink(missing_ok=True)
                monitor.finish(*job)
                run.manifest.done(path, quantile=policy.quantile, seed=policy.seed)
        except DivergedError as error:
            for job in error.policies:
                checkpoint(*job).unlink(missing_ok=True)
            raise
    for quantile, policies in trained.items():
        if line := learned_nothing(policies, run.selections[quantile]):
            print(f"warning: {line}", file=sys.stderr)
    return held_out


def _checkpoint(layout: Layout, quantile: float, seed: int) -> Path:
    return layout.model(quantile, seed).with_suffix(".checkpoint.npz")


#: Predictors of held-out actions: the part of their curves' names, and their names in tables.
PREDICTED_BY = {"validation": "policies", "marginal": "frequency of actions", "player_marginal": "frequency by player"}
_HELD_OUT = tuple(f"{kind}/{name}" for kind in ("accuracy", "loss") for name in PREDICTED_BY)


def held_out_table(
    latest: Mapping[tuple[float, int, str], float], quantiles: Sequence[float], seeds: Sequence[int], wide: bool = False
) -> str:
    """Return a table of accuracy and loss (nats) on held-out steps, with a row for each quantile.

    Args:
        latest: the last point of each curve, by quantile, seed and name.
        quantiles: the rows.
        seeds: the sample of the intervals.
        wide: whether columns that do not fit the terminal are shown.
    """
    policies = [(quantile, seed) for quantile in quantiles for seed in seeds]
    columns = {
        f"{kind}/{name}": f"{kind}, {words}"
        for kind in ("accuracy", "loss")
        for name, words in PREDICTED_BY.items()
        if all((*policy, f"{kind}/{name}") in latest for policy in policies)
    }
    rows = []
    for quantile in quantiles:
        of_seeds = [[[latest[quantile, seed, name]] for seed in seeds] for name in columns]
        rows.append([f"{quantile:g}", *(f"{mean_interval(np.array(values)):.3f}" for values in of_seeds)])
    return terminal_table(["q", *columns.values()], rows, wide)


def _warn_of_few(selections: Iterable[Selection]) -> None:
    """Warn of quantiles that keep fewer than `FEW_EPISODES` episodes, or weight them as unequally."""
    for selection in selections:
        effective, number = selection.effective_number, len(selection.lengths)
        if effective < FEW_EPISODES:
            keeps = f"has an effective number of {effective:.1f}" if effective < number - 1e-6 else f"keeps {number}"
            message = f"q = {selection.quantile} {keeps} of {selection.number} episodes"
            print(f"warning: {message}, too few for conclusions; record more or raise q", file=sys.stderr)


class ProgressMonitor:
    """Shows the progress of training: a bar on the terminal, and curves for TensorBoard.

    Args:
        layout: where the curves lie.
        wanted: the policies that have curves; others may train beside them.
        bar: counts the steps of all policies.
    """

    def __init__(self, layout: Layout, wanted: Collection[PolicyJob], bar: ProgressBar) -> None:
        self._layout = layout
        self._wanted = frozenset(wanted)
        self._bar = bar
        self._writers: dict[PolicyJob, Writer] = {}
        self._open: dict[PolicyJob, ExitStack] = {}
        self._latest: dict[tuple[float, int, str], float] = {}

    def held_out(self, quantile: float, seed: int) -> dict[str, float]:
        """Return a policy's accuracy and loss on held-out steps, if any, by the names of its curves."""
        values = {name: self._latest.get((quantile, seed, name), math.nan) for name in _HELD_OUT}
        return {name: value for name, value in values.items() if math.isfinite(value)}

    def scalar(self, quantile: float, seed: int, name: str, value: float, step: int) -> None:
        """Write a point of one policy's curve."""
        policy = quantile, seed
        if policy not in self._wanted:
            return
        if policy not in self._writers:
            self._open[policy] = ExitStack()
            folder = self._layout.training_events(quantile, seed)
            self._writers[policy] = self._open[policy].enter_context(event_writer(folder))
        self._writers[policy].add_scalar(name, value, step)
        self._latest[quantile, seed, name] = value

    def advance(self, number: int, text: str = "") -> None:
        """Move the bar on."""
        if text:
            self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(number)

    def finish(self, quantile: float, seed: int) -> None:
        """Close the curves of a trained policy; each keeps a file and a thread open."""
        self._writers.pop((quantile, seed), None)
        if policy := self._open.pop((quantile, seed), None):
            policy.close()

    def close(self) -> None:
        """Close all curves."""
        for quantile, seed in list(self._open):
            self.finish(quantile, seed)
