"""Which imitator is best: the likelihood that policies give to the actions of held-out players.

Cloning loses a part of the imitated episodes' return. Some of that is the imitator's fault: it may see too little (one
observation, of players who react late and hold keys), be too small, or be trained too briefly or too long. It is chosen
by held-out likelihood (Stone 1974), never by return, so later measurements do not enter the choice. The folds are of
whole players, because episodes of one player are alike.

The likelihood of a step is the probability of the recorded action given what was recorded before it in the episode; the
components of an action are independent given that. A likelihood chooses among policies that sample their actions.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from quantilizers.arrays import load_cached, save_cached
from quantilizers.choices import Scaling
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.actions import ActionClasses
from quantilizers.errors import UserError
from quantilizers.evaluation.intervals import Interval, student
from quantilizers.execution.executor import Executor, InProcess, Send, Shared
from quantilizers.numbers_in_words import counted
from quantilizers.policies.encoding import LEAST_PROBABILITY, log_likelihoods, recorded_classes
from quantilizers.policies.hyper_parameters import AnyTraining, PerceptronTraining
from quantilizers.policies.policy import family_of, scaling_of
from quantilizers.policies.selection_settings import Selection
from quantilizers.policies.training_jobs import train
from quantilizers.recipe import Recipe
from quantilizers.rewards import FloatArray
from quantilizers.studies.controls import StillAlive

HISTORIES = (0, 1, 2, 4, 8)
HIDDEN_UNITS = ((20, 20), (64, 64), (128, 128))
MAX_EPOCHS = (10, 30, 100)
FOLDS = 3
#: Baselines of the imitators; see `controls`.
CONTROLS = ("frequencies", "own frequencies", "frequencies after the last action")
_KEPT = "log_likelihoods"


@dataclass(frozen=True)
class Players:
    """The players of N episodes, and the fold in which each is held out."""

    of_episodes: npt.NDArray[np.intp]  # (N,), the number of the player of each episode, 0 to G − 1
    folds: npt.NDArray[np.intp]  # (G,), the fold of each player
    word: str  # of the groups: `player`, or `episode` where the file names no players

    @property
    def number(self) -> int:
        """G, the number of players."""
        return len(self.folds)

    def held_out(self, fold: int) -> npt.NDArray[np.bool_]:
        """Return which episodes are held out in a fold, (N,)."""
        return np.asarray(self.folds[self.of_episodes] == fold)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The likelihood that an imitator, or a control, gives to the actions of held-out players."""

    log_likelihoods: FloatArray  # (G,), each player's mean log-likelihood of a step, in nats
    word: str  # of the groups

    @property
    def mean(self) -> Interval:
        """The mean over players, equally weighted, and Student's 95 % interval."""
        return _mean(self.log_likelihoods, self.word)

    def less(self, other: HeldOut) -> Interval:
        """Return the difference to another's mean over the same players, with its paired interval."""
        return _mean(self.log_likelihoods - other.log_likelihoods, self.word)


def _mean(values: FloatArray, word: str) -> Interval:
    error = float(values.std(ddof=1)) / np.sqrt(len(values))
    return student(float(values.mean()), error, len(values) - 1, counted(len(values), word))


def grid(
    own: AnyTraining,
    histories: Sequence[int] | None = None,
    widths: Sequence[int] | None = None,
    max_epochs: Sequence[int] | None = None,
) -> list[PerceptronTraining]:
    """Return the imitators to compare: `own`, and it with all histories, widths and lengths of training.

    Those of None are `HISTORIES`, `HIDDEN_UNITS` and `MAX_EPOCHS`. A width is of each of two hidden layers.
    """
    if not isinstance(own, PerceptronTraining):
        raise UserError("imitators are compared where policies are perceptrons; a convolutional network has no history")
    hidden_units = HIDDEN_UNITS if widths is None else [(width, width) for width in widths]
    combinations = itertools.product(
        HISTORIES if histories is None else histories, hidden_units, MAX_EPOCHS if max_epochs is None else max_epochs
    )
    others = [
        replace(own, history=history, hidden_units=units, max_epochs=epochs, updates=0)
        for history, units, epochs in combinations
    ]
    return list(dict.fromkeys([own, *others]))


def players_of(demonstrations: Demonstrations, folds: int = FOLDS) -> Players:
    """Return who played, and a fixed random division of the players into folds.

    Each episode counts as a player where the file does not name the players. There are at most as many folds as
    players.
    """
    names = demonstrations.episodes.extras.get("player")
    known = names is not None and names.shape == (demonstrations.number,) and names.dtype.kind == "U" and names.all()
    groups = np.unique(names, return_inverse=True)[1] if known and names is not None else None
    if groups is None or groups.max() == 0:
        # One person's episodes differ less than people do; there is nothing else to hold out.
        known, groups = False, np.arange(demonstrations.number)
    number = int(groups.max()) + 1
    if number < 2:
        raise UserError("one episode cannot be held out and learned from; record more")
    of_players = np.empty(number, dtype=np.intp)
    of_players[np.random.default_rng(0).permutation(number)] = np.arange(number) % min(folds, number)
    return Players(groups, of_players, "player" if known else "episode")


def seconds_of(demonstrations: Demonstrations, imitators: Sequence[PerceptronTraining]) -> float:
    """Return about how many seconds one processor takes to cross-validate imitators."""
    family = family_of(demonstrations.environment)
    whole = {1.0: Selection.of_all(demonstrations)}
    return sum(batch.seconds for imitator in imitators for batch in family.plan(whole, range(FOLDS), imitator))


@dataclass(frozen=True, eq=False)
class ImitatorJob:
    """An imitator to cross-validate."""

    name: str
    demonstrations: Shared[Demonstrations]  # with their observations
    imitator: PerceptronTraining


def cross_validate(
    demonstrations: Demonstrations,
    imitators: Sequence[PerceptronTraining],
    folder: Path | None = None,
    on_imitator: Callable[[PerceptronTraining, HeldOut], object] = lambda imitator, found: None,
    executor: Executor | None = None,
) -> dict[PerceptronTraining, HeldOut]:
    """Train each imitator on all folds but one, and measure how probable it finds the players of that one.

    Args:
        demonstrations: with their observations.
        folder: cache of each imitator's results, from which a stopped run resumes; None caches nothing. Results of
            other data or settings are replaced.
        executor: runs one job an imitator; None is this process. The results are the same bits.
    """
    _check_classes(demonstrations)
    players, data = players_of(demonstrations), demonstrations.fingerprint
    scaling = scaling_of(demonstrations.environment)
    recipes = {imitator: _recipe(imitator, players, data, scaling) for imitator in imitators}
    results: dict[PerceptronTraining, HeldOut] = {}

    def note(imitator: PerceptronTraining, found: FloatArray) -> None:
        results[imitator] = HeldOut(found, players.word)
        on_imitator(imitator, results[imitator])

    jobs, shared = list[ImitatorJob](), demonstrations.shared()
    for imitator, recipe in recipes.items():
        cached = None if folder is None else load_cached(folder / f"{recipe.identity[:16]}.npz", [_KEPT], recipe)
        if cached is None:
            jobs.append(ImitatorJob(f"imitator {len(jobs)}", shared, imitator))
        else:
            note(imitator, cached[_KEPT])
    for job, found in (executor or InProcess()).map(hold_out, jobs):
        if folder is not None:
            recipe = recipes[job.imitator]
            save_cached(folder / f"{recipe.identity[:16]}.npz", {_KEPT: found}, recipe)
        note(job.imitator, found)
    return {imitator: results[imitator] for imitator in imitators}


def _check_classes(demonstrations: Demonstrations) -> ActionClasses:
    classes = demonstrations.environment.action_classes
    if classes is None:
        name = demonstrations.environment.name
        raise UserError(f"the actions of {name} are predicted by regression and have no probabilities")
    return classes


def hold_out(job: ImitatorJob, send: Send) -> FloatArray:
    """Return each player's mean log-likelihood of a step under the policy that was trained without them, (G,)."""
    demonstrations = job.demonstrations.value
    players, environment = players_of(demonstrations), demonstrations.environment
    family, classes = family_of(environment), environment.action_classes or ()
    folds = {
        fold: Selection.of_all(demonstrations.select(np.flatnonzero(~players.held_out(fold))))
        for fold in range(players.folds.max() + 1)
    }
    steps = np.full(demonstrations.episodes.done.shape, np.nan)
    for policy in train(family.plan(folds, [0], job.imitator), Shared(folds), StillAlive(send)):
        held_out = players.held_out(policy.key)
        others = demonstrations.select(np.flatnonzero(held_out))
        policies = family.stack(environment, [policy], "sample")
        policies.recall(others.episodes)
        probabilities = policies.probabilities(others.episodes.transitions()[0][None])
        labels = recorded_classes(others.episodes, classes)
        steps[held_out[:, None] & ~demonstrations.episodes.done] = log_likelihoods(
            [of_component[0] for of_component in probabilities], labels
        )
    return _by_player(steps, players)


def _by_player(steps: FloatArray, players: Players) -> FloatArray:
    """Return each player's mean (G,) of values of steps (N, T), NaN on padding."""
    return np.array([np.nanmean(steps[players.of_episodes == player]) for player in range(players.number)])


def controls(demonstrations: Demonstrations) -> dict[str, HeldOut]:
    """Return the held-out likelihood of baselines, which an imitator that learned anything beats.

    | control | probability of an action |
    |---|---|
    | frequencies | its frequency among the other folds' players |
    | own frequencies | its frequency in this player's own episodes, which no held-out imitator knows |
    | frequencies after the last action | its frequency among the others after the same last action: holding keys |

    Frequencies of others are smoothed by one more of each action (Laplace), so none is impossible.
    """
    classes = _check_classes(demonstrations)
    players, done = players_of(demonstrations), demonstrations.episodes.done
    labels = recorded_classes(demonstrations.episodes, classes)
    player = np.repeat(players.of_episodes, demonstrations.lengths)
    first = np.nonzero(~done)[1] == 0
    everywhere = np.zeros(len(player), dtype=np.intp)
    found: dict[str, HeldOut] = {}
    for name in CONTROLS:
        probabilities = []
        for label, values in zip(labels, classes, strict=True):
            before = everywhere
            if name == CONTROLS[2]:
                before = np.where(first, len(values), np.roll(label, 1))
            own, size = name == CONTROLS[1], (len(values) + 1, len(values))
            of_steps = np.empty((len(label), len(values)))
            groups = player if own else players.folds[player]
            for group in range(int(groups.max()) + 1):
                chosen = groups == group
                learned = chosen if own else ~chosen
                counts = np.zeros(size) if own else np.ones(size)
                np.add.at(counts, (before[learned], label[learned]), 1)
                frequencies = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
                of_steps[chosen] = frequencies[before[chosen]]
            probabilities.append(of_steps)
        steps = np.full(done.shape, np.nan)
        steps[~done] = log_likelihoods(probabilities, labels)
        found[name] = HeldOut(_by_player(steps, players), players.word)
    return found


def numbers_learned(demonstrations: Demonstrations, imitator: PerceptronTraining) -> int:
    """Return the number of weights and biases of an imitator."""
    environment = demonstrations.environment
    shapes = family_of(environment).weight_shapes(environment, imitator)
    return sum(int(np.prod(shape)) for shape in shapes)


def chosen(demonstrations: Demonstrations, results: Mapping[PerceptronTraining, HeldOut]) -> PerceptronTraining:
    """Return the simplest imitator within one standard error of the best.

    The best has the highest held-out likelihood. The standard error is that of the difference, paired by player (the
    rule of Breiman et al. 1984 has an unpaired one). The simplest has the fewest weights; among equals it is trained
    for the fewest epochs.
    """
    best = max(results.values(), key=lambda found: found.log_likelihoods.mean())
    good = []
    for imitator, found in results.items():
        behind = best.log_likelihoods - found.log_likelihoods
        if behind.mean() <= behind.std(ddof=1) / np.sqrt(len(behind)):
            good.append(imitator)
    return min(good, key=lambda imitator: (numbers_learned(demonstrations, imitator), imitator.max_epochs))


def at_the_edge(imitator: PerceptronTraining, imitators: Sequence[PerceptronTraining]) -> list[str]:
    """Return the hyper-parameters in which an imitator is at the upper edge of the compared, so more may be better."""
    found = []
    for name in ("history", "hidden_units", "max_epochs"):
        values = {getattr(other, name) for other in imitators}
        if len(values) > 1 and getattr(imitator, name) == max(values):
            found.append(name)
    return found


def _recipe(imitator: PerceptronTraining, players: Players, data: str, scaling: Scaling) -> Recipe:
    """Return what an imitator's results depend on."""
    entries = {"imitator": asdict(imitator), "data": data, "least": LEAST_PROBABILITY}
    if scaling != "none":
        entries["scaling"] = scaling
    return Recipe({**entries, "players": players.of_episodes, "folds": players.folds})
