"""Summary statistics and the title of a data set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import load_arrays
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.layout import Layout
from quantilizers.quantilize import best_first, number_kept
from quantilizers.rewards import FloatArray


@dataclass(frozen=True)
class SelectionSummary:
    """The selection of one quantile of a data set, with its mean returns.

    Attributes:
        quantile: q.
        number: the number of episodes selected.
        cut: the lowest proxy return selected.
        tied_left_out: the number of episodes with exactly that proxy return that were not selected, because they stand
            later in the file.
    """

    quantile: float
    number: int
    true_return: float
    proxy_return: float
    cut: float
    tied_left_out: int


@dataclass(frozen=True)
class Correlation:
    """Correlation of true and proxy return over the episodes; None if one of them does not vary."""

    pearson: float | None
    spearman: float | None


@dataclass(frozen=True, eq=False)
class Summary:
    """Steps and returns of the episodes of a data set, (N,), and a description of its players."""

    lengths: npt.NDArray[np.int64]
    true_returns: FloatArray
    proxy_returns: FloatArray
    players: str = "unknown"

    @property
    def number(self) -> int:
        """N, the number of episodes."""
        return len(self.lengths)

    def selection(self, quantile: float) -> SelectionSummary:
        """Return the selection of a quantile, by the ranking that training uses."""
        order = best_first(self.proxy_returns)
        number = number_kept(quantile, self.number)
        selected, left_out = order[:number], order[number:]
        cut = self.proxy_returns[selected[-1]]
        return SelectionSummary(
            quantile=quantile,
            number=number,
            true_return=float(self.true_returns[selected].mean()),
            proxy_return=float(self.proxy_returns[selected].mean()),
            cut=float(cut),
            tied_left_out=int((self.proxy_returns[left_out] == cut).sum()),
        )

    def correlation(self) -> Correlation:
        """Return the correlation of true and proxy return (SciPy)."""
        if self.number < 2 or np.ptp(self.true_returns) == 0 or np.ptp(self.proxy_returns) == 0:
            return Correlation(None, None)
        # SciPy's statistics take as long to import as matplotlib, and most tables have no correlations.
        from scipy import stats

        pearson = stats.pearsonr(self.proxy_returns, self.true_returns).statistic
        spearman = stats.spearmanr(self.proxy_returns, self.true_returns).statistic
        return Correlation(float(pearson), float(spearman))


def summarise(demonstrations: Demonstrations) -> Summary:
    """Return the lengths and returns of demonstrations."""
    data = demonstrations
    return Summary(data.lengths, data.true_returns, data.proxy_returns, _players(data))


def ranking_doubts(demonstrations: Demonstrations) -> list[str]:
    """Return a line if all episodes have one proxy return, which ranks nothing."""
    returns = demonstrations.proxy_returns
    if demonstrations.number < 2 or np.ptp(returns) > 0:
        return []
    return [
        f"all {demonstrations.number:,} episodes have the proxy return {returns[0]:g}, so the top of a quantile is "
        "arbitrary: the first episodes of the file"
    ]


def horizon_doubts(longest: int, max_steps: int) -> list[str]:
    """Return a line if a demonstration is longer than policies may act."""
    if longest <= max_steps:
        return []
    return [
        f"demonstrations have up to {longest:,} steps, and policies are cut after {max_steps:,}, so their returns do "
        f"not compare; set max_steps to {longest:,}, or cut the demonstrations"
    ]


def _players(demonstrations: Demonstrations) -> str:
    """Count the players; the names of simulated ones begin with `simulated`."""
    names = demonstrations.episodes.extras.get("player")
    if names is None or names.dtype.kind != "U":
        return "unknown"
    simulated = {name for name in names.tolist() if name.startswith("simulated")}
    people = {name for name in names.tolist() if name} - simulated
    counts = [f"{len(simulated):,} simulated"] * bool(simulated) + [f"{len(people):,} named"] * bool(people)
    return ", ".join([*counts, "others unknown"] if counts and "" in names else counts) or "unknown"


def dataset_title(layout: Layout) -> str:
    """Return a data set's title, which tells if all its players were simulated."""
    title = f"data set {layout.dataset}"
    if not layout.found_data.is_file():
        return title
    names = load_arrays(layout.found_data, (), only=("player",)).get("player", np.array([]))
    is_text = names.dtype.kind == "U" and names.size > 0
    simulated = is_text and all(name.startswith("simulated") for name in names.ravel())
    return title + (" (simulated players)" if simulated else "")
