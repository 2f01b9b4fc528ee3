"""The stage `train`: from demonstrations to one policy for each quantile and seed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from quantilizers.demonstrations.weighting import effective_sample_size
from quantilizers.errors import NotInstalledError
from quantilizers.evaluation.intervals import mean_interval
from quantilizers.event_files import event_writer
from quantilizers.figures.tables import format_table
from quantilizers.layout import Layout
from quantilizers.policies.keras_files import save_policy
from quantilizers.policies.policy import family_of
from quantilizers.policies.treatment import Chosen, splits_of
from quantilizers.stages.loading import find_demonstrations
from quantilizers.stages.settings import Settings

if TYPE_CHECKING:
    from tensorboard.summary import Writer

FEW_EPISODES = 5


def _check_libraries() -> None:
    """Refuse to begin where training would end; the libraries are not imported for that, which takes seconds."""
    for module in ("tensorflow", "keras"):
        if importlib.util.find_spec(module) is None:
            raise NotInstalledError(f"policies need {module}, which is not installed", module)


def run(settings: Settings) -> None:
    """Train and save the policies.

    Raises:
        NotInstalledError: what trains is not installed.
        UserError: the demonstrations are missing or unusable.
    """
    _check_libraries()
    environment, layout, seeds = settings.environment, settings.layout, settings.seeds
    family = family_of(environment)
    demonstrations = find_demonstrations(settings)
    chosen = settings.treatment.choose_all(demonstrations, settings.quantiles)
    _warn_of_few(chosen)
    training = settings.treatment.training(settings.training, demonstrations)
    splits, weights = splits_of(chosen)
    total, unit = family.steps_of(splits, seeds, training)

    def checkpoint(quantile: float, seed: int) -> Path:
        return layout.model(quantile, seed).with_suffix(".checkpoint.npz")

    with _monitor(layout, total, unit) as monitor:
        for policy in family.fit(splits, seeds, training, monitor, checkpoint, weights):
            treated = replace(policy, treatment=settings.treatment)
            save_policy(layout.model(policy.quantile, policy.seed), environment, treated)
            monitor.finish(policy.quantile, policy.seed)
    if monitor.validated:
        print("what policies make of held-out steps, beside what needs no observation; mean over seeds [95 % interval]")
        print(held_out_table(monitor.latest, settings.quantiles, seeds))
    print(f"trained {len(splits) * len(seeds)} policies in {layout.models}")


#: Who predicts held-out actions, and in what words: as training names its curves.
PREDICTED_BY = {
    "validation": "policies",
    "marginal": "actions as often as all play them",
    "player_marginal": "as often as each player does",
}


def held_out_table(
    latest: Mapping[tuple[float, int, str], float], quantiles: Sequence[float], seeds: Sequence[int]
) -> str:
    """Return a row for each quantile: accuracy and loss in nats of policies on held-out steps, and of marginals.

    Args:
        latest: the last point of each curve, by quantile, seed and name.
        quantiles: the rows.
        seeds: over which intervals are.
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
    return format_table(["q", *columns.values()], rows)


def _warn_of_few(chosen: Mapping[float, Chosen]) -> None:
    """Warn of quantiles that keep hardly anything."""
    for quantile, of_quantile in chosen.items():
        effective = effective_sample_size(of_quantile.weights)
        if effective < FEW_EPISODES:
            kept = f"keeps {of_quantile.demonstrations.number}"
            if effective < of_quantile.demonstrations.number - 1e-6:
                kept = f"weighs as {effective:.1f}"
            print(
                f"warning: q = {quantile} {kept} of {of_quantile.number} episodes, too few to say much; record more or "
                "raise q",
                file=sys.stderr,
            )


class ProgressMonitor:
    """Shows how training goes on: a bar on the terminal, and curves for TensorBoard.

    Args:
        layout: where the curves lie.
        bar: counts the steps of all policies.

    Attributes:
        latest: the last point of each curve, by quantile, seed and name.
    """

    def __init__(self, layout: Layout, bar: tqdm[Any]) -> None:
        self._layout = layout
        self._bar = bar
        self._writers: dict[tuple[float, int], Writer] = {}
        self._open: dict[tuple[float, int], ExitStack] = {}
        self.latest: dict[tuple[float, int, str], float] = {}

    @property
    def validated(self) -> bool:
        """Whether policies were asked about held-out actions, and found them right or wrong."""
        return any(name == "accuracy/validation" for _, _, name in self.latest)

    def scalar(self, quantile: float, seed: int, name: str, value: float, step: int) -> None:
        """Write a point of one policy's curve."""
        policy = quantile, seed
        if policy not in self._writers:
            self._open[policy] = ExitStack()
            folder = self._layout.training_events(quantile, seed)
            self._writers[policy] = self._open[policy].enter_context(event_writer(folder))
        self._writers[policy].add_scalar(name, value, step)
        self.latest[quantile, seed, name] = value

    def advance(self, number: int, text: str = "") -> None:
        """Move the bar on."""
        if text:
            self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(number)

    def finish(self, quantile: float, seed: int) -> None:
        """Close the curves of a policy that is trained: each keeps a file and a thread open."""
        self._writers.pop((quantile, seed), None)
        if policy := self._open.pop((quantile, seed), None):
            policy.close()

    def close(self) -> None:
        """Close all curves."""
        for quantile, seed in list(self._open):
            self.finish(quantile, seed)


@contextmanager
def _monitor(layout: Layout, total: int, unit: str) -> Iterator[ProgressMonitor]:
    with (
        tqdm(total=total, desc="training", unit=unit, dynamic_ncols=True) as bar,
        closing(ProgressMonitor(layout, bar)) as monitor,
    ):
        yield monitor
