"""The base distribution of demonstrations, where it is known: returns of many sampled episodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import load_arrays, save_arrays
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.errors import UserError, reason_of
from quantilizers.layout import Layout
from quantilizers.numbers_in_words import counted
from quantilizers.recipe import Recipe
from quantilizers.rewards import FloatArray

_RETURNS = ("true_returns", "proxy_returns")
_NOTES = ("environment", "players", "demonstrations", "made_by")


@dataclass(frozen=True, eq=False)
class BaseDistribution:
    """Returns of N episodes, drawn independently from the distribution that a data set was drawn from."""

    environment: str
    true_returns: FloatArray  # (N,)
    proxy_returns: FloatArray  # (N,)
    lengths: npt.NDArray[np.int64]  # (N,) steps
    player: npt.NDArray[np.int64]  # (N,) number of each episode's player
    players: str  # a description that says whether they are simulated, such as "simulated players"
    demonstrations: str  # `Demonstrations.fingerprint` of the data set
    seed: int
    made_by: str  # the command that made it, and the versions

    def __post_init__(self) -> None:
        arrays = (self.true_returns, self.proxy_returns, self.lengths, self.player)
        if self.true_returns.ndim != 1 or not self.number or len({array.shape for array in arrays}) > 1:
            shapes = ", ".join(str(array.shape) for array in arrays)
            raise UserError(f"a base distribution needs one number of each kind for each episode, not {shapes}")
        if not (np.isfinite(self.true_returns).all() and np.isfinite(self.proxy_returns).all()):
            raise UserError("a return of the base distribution is NaN or infinite")

    @property
    def number(self) -> int:
        """N, the number of episodes."""
        return len(self.true_returns)

    @property
    def title(self) -> str:
        """Description of players and episodes."""
        return f"{self.players}, sampled {counted(self.number, 'episode')}"

    def save(self, path: Path) -> None:
        """Write it, with returns as float32."""
        arrays: Mapping[str, npt.NDArray[Any]] = {
            **{name: getattr(self, name).astype(np.float32) for name in _RETURNS},
            "lengths": self.lengths.astype(np.int32),
            "player": self.player.astype(np.int16),
            "seed": np.array(self.seed),
            **{name: np.array(getattr(self, name)) for name in _NOTES},
        }
        save_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path) -> BaseDistribution:
        """Read a file of `save`."""
        arrays = load_arrays(path, (*_RETURNS, "lengths", "player", "seed", *_NOTES))
        try:
            return cls(
                environment=str(arrays["environment"]),
                true_returns=arrays["true_returns"].astype(np.float64),
                proxy_returns=arrays["proxy_returns"].astype(np.float64),
                lengths=arrays["lengths"].astype(np.int64),
                player=arrays["player"].astype(np.int64),
                players=str(arrays["players"]),
                demonstrations=str(arrays["demonstrations"]),
                seed=int(arrays["seed"]),
                made_by=str(arrays["made_by"]),
            )
        except (TypeError, ValueError, UserError) as error:
            raise UserError(f"{path} is no base distribution ({reason_of(error)}); make it again") from None

    @classmethod
    def of_episodes(
        cls, sampled: Demonstrations, demonstrations: Demonstrations, players: str, seed: int, made_by: str
    ) -> BaseDistribution:
        """Summarise sampled episodes."""
        names = sampled.episodes.extras.get("player", np.zeros(sampled.number))
        return cls(
            environment=sampled.environment.name,
            true_returns=sampled.true_returns.astype(np.float64),
            proxy_returns=sampled.proxy_returns.astype(np.float64),
            lengths=sampled.lengths,
            player=np.unique(names, return_inverse=True)[1].astype(np.int64),
            players=players,
            demonstrations=demonstrations.fingerprint,
            seed=seed,
            made_by=made_by,
        )


def find_base_distribution(layout: Layout, demonstrations: Demonstrations) -> BaseDistribution | None:
    """Read the base distribution of demonstrations; None if there is no file of it."""
    path = layout.found_base
    if not path.exists():
        return None
    base = BaseDistribution.load(path)
    made = Recipe({"environment": base.environment, "data": base.demonstrations})
    if made.difference(Recipe({"environment": demonstrations.environment.name, "data": demonstrations.fingerprint})):
        if path != layout.base:
            # The shipped file belongs to the shipped demonstrations; others may have their name.
            return None
        raise UserError(
            f"{path} is the base distribution of other demonstrations than {layout.found_data}; sample it again, or "
            "delete it to use the demonstrations instead"
        )
    return base
