"""The stage `train`: from demonstrations to one policy for each quantile and seed."""

from __future__ import annotations

import sys

from quantilizers.datasets import load_dataset
from quantilizers.demonstrations import top_quantile
from quantilizers.policies import family_of
from quantilizers.settings import Settings

FEW_EPISODES = 5


def run(settings: Settings) -> None:
    """Train and save the policies.

    Raises:
        UserError: the demonstrations are missing or unusable.
    """
    demonstrations = load_dataset(settings.layout, settings.environment)
    proxy_returns = settings.environment.proxy_rewards(demonstrations).sum(axis=1)
    splits = {quantile: top_quantile(demonstrations, proxy_returns, quantile) for quantile in settings.quantiles}
    for quantile, split in splits.items():
        if split.number < FEW_EPISODES:
            print(
                f"warning: q = {quantile} keeps {split.number} of {demonstrations.number} episodes, "
                "too few to say much; record more or raise q",
                file=sys.stderr,
            )
    family_of(settings.environment).train(settings, splits)
    print(f"trained {len(splits) * len(settings.seeds)} policies in {settings.layout.models}")
