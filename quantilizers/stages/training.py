"""The stage `train`: from demonstrations to one policy for each quantile and seed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from quantilizers.demonstrations.weighting import effective_sample_size
from quantilizers.event_files import event_writer
from quantilizers.layout import Layout
from quantilizers.policies.keras_files import save_policy
from quantilizers.policies.policy import family_of
from quantilizers.policies.treatment import Chosen, splits_of
from quantilizers.stages.loading import find_demonstrations
from quantilizers.stages.settings import Settings

if TYPE_CHECKING:
    from tensorboard.summary import Writer

FEW_EPISODES = 5


def run(settings: Settings) -> None:
    """Train and save the policies.

    Raises:
        UserError: the demonstrations are missing or unusable.
    """
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
    print(f"trained {len(splits) * len(seeds)} policies in {layout.models}")


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
    """

    def __init__(self, layout: Layout, bar: tqdm[Any]) -> None:
        self._layout = layout
        self._bar = bar
        self._writers: dict[tuple[float, int], Writer] = {}
        self._open: dict[tuple[float, int], ExitStack] = {}

    def scalar(self, quantile: float, seed: int, name: str, value: float, step: int) -> None:
        """Write a point of one policy's curve."""
        policy = quantile, seed
        if policy not in self._writers:
            self._open[policy] = ExitStack()
            folder = self._layout.training_events(quantile, seed)
            self._writers[policy] = self._open[policy].enter_context(event_writer(folder))
        self._writers[policy].add_scalar(name, value, step)

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
