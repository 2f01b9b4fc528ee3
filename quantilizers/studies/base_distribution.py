"""The base distribution of demonstrations, where it is known: returns of many sampled episodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import load_arrays, save_arrays
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.errors import UserError, reason_of, shown
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
    # (N,) number of each episode's start, as many episodes from each; None where every episode has a start of its own.
    start: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        arrays = [self.true_returns, self.proxy_returns, self.lengths, self.player]
        arrays += [] if self.start is None else [self.start]
        if self.true_returns.ndim != 1 or not self.number or len({array.shape for array in arrays}) > 1:
            shapes = ", ".join(str(array.shape) for array in arrays)
            raise UserError(f"a base distribution needs one number of each kind for each episode, not {shapes}")
        if not (np.isfinite(self.true_returns).all() and np.isfinite(self.proxy_returns).all()):
            raise UserError("a return of the base distribution is NaN or infinite")
        if self.start is not None and len(set(np.unique(self.start, return_counts=True)[1].tolist())) > 1:
            raise UserError("a base distribution needs as many episodes from each start")

    @property
    def number(self) -> int:
        """N, the number of episodes."""
        return len(self.true_returns)

    @property
    def starts(self) -> int | None:
        """Number of starts; None where every episode has a start of its own."""
        return None if self.start is None else len(np.unique(self.start))

    @property
    def several_players(self) -> npt.NDArray[np.int64] | None:
        """The players (N,); None if there is one alone, over whom nothing can be resampled."""
        return self.player if len(np.unique(self.player)) > 1 else None

    @property
    def title(self) -> str:
        """Description of players and episodes."""
        sampled = f"{self.players}, sampled {counted(self.number, 'episode')}"
        return sampled if self.starts is None else f"{sampled} from {counted(self.starts, 'start')}"

    def save(self, path: Path) -> None:
        """Write it, with returns as float32."""
        arrays: Mapping[str, npt.NDArray[Any]] = {
            **{name: getattr(self, name).astype(np.float32) for name in _RETURNS},
            "lengths": self.lengths.astype(np.int32),
            "player": self.player.astype(np.int16),
            **({} if self.start is None else {"start": self.start.astype(np.int32)}),
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
                players=shown(arrays["players"]),
                demonstrations=str(arrays["demonstrations"]),
                seed=int(arrays["seed"]),
                made_by=shown(arrays["made_by"]),
                start=arrays["start"].astype(np.int64) if "start" in arrays else None,
            )
        except (TypeError, ValueError, UserError) as error:
            raise UserError(f"{path} is no base distribution ({reason_of(error)}); make it again") from None

    @classmethod
    def of_episodes(
        cls,
        sampled: Iterable[Demonstrations],
        demonstrations: Demonstrations,
        players: str,
        seed: int,
        made_by: str,
        within_starts: bool = False,
    ) -> BaseDistribution:
        """Summarise sampled episodes, which may come some at a time.

        Args:
            sampled: the episodes.
            demonstrations: the data set of which this is the base distribution.
            players: a description that says whether they are simulated.
            seed: of the sample.
            made_by: the command that made it, and the versions.
            within_starts: whether episodes of one reset seed are of one start.

        Raises:
            UserError: starts have unequal numbers of episodes.
        """
        columns: list[tuple[npt.NDArray[Any], ...]] = []
        for some in sampled:
            extras = some.episodes.extras
            who = extras.get("player", np.zeros(some.number))
            seeds = extras["seed"] if within_starts else np.zeros(some.number)
            columns.append((some.true_returns, some.proxy_returns, some.lengths, who, seeds))
        true, proxy, lengths, who, seeds = (np.concatenate(column) for column in zip(*columns, strict=True))
        return cls(
            environment=demonstrations.environment.name,
            true_returns=true.astype(np.float64),
            proxy_returns=proxy.astype(np.float64),
            lengths=lengths,
            player=np.unique(who, return_inverse=True)[1].astype(np.int64),
            players=players,
            demonstrations=demonstrations.fingerprint,
            seed=seed,
            made_by=made_by,
            start=np.unique(seeds, return_inverse=True)[1].astype(np.int64) if within_starts else None,
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
