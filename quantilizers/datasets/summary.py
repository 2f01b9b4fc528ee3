"""Summary statistics and the title of a data set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box

from quantilizers.arrays import load_arrays
from quantilizers.choices import Within
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.two_rewards import outside_of
from quantilizers.layout import Layout
from quantilizers.quantilize import selected, selected_within, share_between
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


#: From this share of the proxy's variance on, a ranking of all episodes together mostly selects groups.
MOST = 0.5


@dataclass(frozen=True, eq=False)
class Grouping:
    """The groups of a data set's episodes, such as starts or questions.

    Attributes:
        numbers: (N,), the group of each episode, from 0 on.
        between: share of the proxy return's variance that lies between groups; None where it cannot be known.
    """

    numbers: npt.NDArray[np.intp]
    between: float | None

    @property
    def sizes(self) -> npt.NDArray[np.intp]:
        """The number of episodes of each group, (G,)."""
        return np.bincount(self.numbers)


@dataclass(frozen=True, eq=False)
class Summary:
    """Steps and returns of the episodes of a data set, (N,), and a description of its players.

    Attributes:
        grouping: the episodes' groups, if they are known.
        within: among which episodes a quantile ranks.
        first_observations: number of different first observations, where these are few and decide most of the proxy;
            None where they do not, or groups are known.
    """

    lengths: npt.NDArray[np.int64]
    true_returns: FloatArray
    proxy_returns: FloatArray
    players: str = "unknown"
    grouping: Grouping | None = None
    within: Within = "all"
    first_observations: int | None = None

    @property
    def number(self) -> int:
        """N, the number of episodes."""
        return len(self.lengths)

    def selection(self, quantile: float) -> SelectionSummary:
        """Return the selection of a quantile, by the ranking that training uses."""
        true, proxy = self.true_returns, self.proxy_returns
        if self.within == "all" or self.grouping is None:
            groups, kept = np.zeros(self.number, dtype=np.intp), selected(proxy, quantile)
            true_return, proxy_return = float(true[kept].mean()), float(proxy[kept].mean())
        else:
            groups = self.grouping.numbers
            kept, weights = selected_within(proxy, groups, quantile)
            true_return, proxy_return = float(weights @ true[kept]), float(weights @ proxy[kept])
        cuts = np.full(int(groups.max()) + 1, np.inf)
        np.minimum.at(cuts, groups[kept], proxy[kept])
        tied = proxy == cuts[groups]
        tied[kept] = False
        return SelectionSummary(quantile, len(kept), true_return, proxy_return, float(cuts.min()), int(tied.sum()))

    @property
    def remarks(self) -> list[str]:
        """Sentences about the ranking: within which groups it is, or that it mostly selects groups."""
        grouping = self.grouping
        if grouping is None:
            if self.first_observations is None:
                return []
            return [
                f"Most of the proxy's variance lies between {self.first_observations:,} different first observations. "
                "If these are different problems, the top are the easy ones: give the recording an array group, or the "
                "definition recordings=Recordings(group=...), and rank with --within group."
            ]
        if self.within == "group":
            return [
                f"Episodes are ranked within {len(grouping.sizes):,} groups: a quantile keeps max(1, floor(q·m)) of "
                "the m episodes of each, and each group keeps its share of the weight."
            ]
        if grouping.between is not None and grouping.between > MOST:
            return [
                f"Most of the proxy's variance, {grouping.between:.0%}, lies between groups: a ranking of all episodes "
                "together selects groups more than play; --within group ranks within each."
            ]
        return []

    def correlation(self) -> Correlation:
        """Return the correlation of true and proxy return (SciPy)."""
        if self.number < 2 or np.ptp(self.true_returns) == 0 or np.ptp(self.proxy_returns) == 0:
            return Correlation(None, None)
        # SciPy's statistics take as long to import as matplotlib, and most tables have no correlations.
        from scipy import stats

        pearson = stats.pearsonr(self.proxy_returns, self.true_returns).statistic
        spearman = stats.spearmanr(self.proxy_returns, self.true_returns).statistic
        return Correlation(float(pearson), float(spearman))


def summarise(demonstrations: Demonstrations, within: Within = "all") -> Summary:
    """Return the lengths and returns of demonstrations, and their groups.

    Raises:
        UserError: they are to be ranked within groups, which are not known.
    """
    data = demonstrations
    data.groups_within(within)
    proxy, numbers = data.proxy_returns, data.known_groups
    grouping = None if numbers is None else Grouping(numbers, share_between(proxy, numbers))
    starts = _first_observations(data) if grouping is None else None
    return Summary(data.lengths, data.true_returns, proxy, _players(data), grouping, within, starts)


def _first_observations(demonstrations: Demonstrations) -> int | None:
    """Return the number of different first observations if they are few and most of the proxy's variance is theirs."""
    observations = demonstrations.episodes.observations
    if not isinstance(observations, np.ndarray) or observations[:, 0].size == 0:
        return None
    rows: dict[bytes, int] = {}
    numbers = np.array([rows.setdefault(row.tobytes(), len(rows)) for row in observations[:, 0]])
    if not 2 <= len(rows) <= demonstrations.number // 2:
        return None
    between = share_between(demonstrations.proxy_returns, numbers)
    return len(rows) if between is not None and between > MOST else None


def ranking_doubts(demonstrations: Demonstrations, within: Within = "all") -> list[str]:
    """Return a line if all episodes that are ranked together have one proxy return, which ranks nothing."""
    returns, groups = demonstrations.proxy_returns, demonstrations.groups_within(within)
    if demonstrations.number < 2:
        return []
    if groups is None:
        differs = bool(np.ptp(returns) > 0)
        alike = f"all {demonstrations.number:,} episodes have the proxy return {returns[0]:g}"
    else:
        order = np.lexsort((returns, groups))
        differs = bool(((np.diff(returns[order]) > 0) & (np.diff(groups[order]) == 0)).any())
        alike = "all episodes of each group have the same proxy return"
    if differs:
        return []
    return [f"{alike}, so the top of a quantile is arbitrary: the first episodes of the file"]


def horizon_doubts(longest: int, max_steps: int) -> list[str]:
    """Return a line if a demonstration is longer than policies may act."""
    if longest <= max_steps:
        return []
    return [
        f"demonstrations have up to {longest:,} steps, and policies are cut after {max_steps:,}, so their returns do "
        f"not compare; set max_steps to {longest:,}, or cut the demonstrations"
    ]


def space_doubts(demonstrations: Demonstrations) -> list[str]:
    """Return a line if recorded observations are outside of the environment's space, as in other units."""
    environment, episodes = demonstrations.environment, demonstrations.episodes
    space, recorded = environment.observation_space, episodes.observations
    if not isinstance(space, Box) or not isinstance(recorded, np.ndarray) or recorded.shape[2:] != space.shape:
        return []
    line = outside_of(space, recorded[~episodes.done])
    if not line:
        return []
    return [f"recorded observations leave the space of {environment.name}: {line}; they may be in other units"]


def class_doubts(demonstrations: Demonstrations) -> list[str]:
    """Return a line if recorded actions lie between the classes that policies choose from."""
    environment = demonstrations.environment
    if not isinstance(environment.action_space, Box) or environment.action_classes is None:
        return []
    actions = demonstrations.episodes.transitions()[1]
    distance = np.zeros(len(actions))
    for component, classes in enumerate(environment.action_classes):
        values = actions[:, component]
        known = np.asarray(classes, dtype=values.dtype if values.dtype.kind == "f" else np.float64)
        distance = np.maximum(distance, np.abs(values[:, None] - known).min(axis=1))
    between = distance > 0
    if not between.any():
        return []
    return [
        f"{int(between.sum()):,} of {len(actions):,} recorded actions are not among the classes of {environment.name}; "
        f"policies imitate the nearest class, {distance[between].mean():.2g} away in the mean. Without classes, the "
        "definition imitates by regression"
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
    if not layout.found_data.is_file() or layout.found_data.suffix != ".npz":
        return title
    names = load_arrays(layout.found_data, (), only=("player",)).get("player", np.array([]))
    is_text = names.dtype.kind == "U" and names.size > 0
    simulated = is_text and all(name.startswith("simulated") for name in names.ravel())
    return title + (" (simulated players)" if simulated else "")
