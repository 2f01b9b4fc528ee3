"""The stage `train`: from demonstrations to one policy for each quantile and seed."""

from __future__ import annotations

import sys

from quantilizers.datasets import load_dataset, with_observations
from quantilizers.demonstrations import number_kept, top_quantile
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
    # The splits are nested: each is the beginning of the widest, whose observations are then made only once.
    widest = with_observations(
        top_quantile(demonstrations, proxy_returns, max(settings.quantiles)), settings.environment
    )
    splits = {
        quantile: widest.select(slice(number_kept(quantile, demonstrations.number))) for quantile in settings.quantiles
    }
    for quantile, split in splits.items():
        if split.number < FEW_EPISODES:
            print(
                f"warning: q = {quantile} keeps {split.number} of {demonstrations.number} episodes, "
                "too few to say much; record more or raise q",
                file=sys.stderr,
            )
    family_of(settings.environment).train(settings, splits)
    print(f"trained {len(splits) * len(settings.seeds)} policies in {settings.layout.models}")
