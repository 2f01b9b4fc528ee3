"""The stages `inspect` and `analyze`: tables and figures of a data set, its selections and their policies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from quantilizers.choices import Acting
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.summary import dataset_title, summarise
from quantilizers.errors import MissingError, UserError
from quantilizers.evaluation.cloning import compare_with_demonstrations
from quantilizers.evaluation.held_out import held_out_confusions
from quantilizers.evaluation.intervals import mean_interval
from quantilizers.evaluation.visited import PrincipalComponents, visited
from quantilizers.figures.behaviour import Points, draw_confusion, draw_observations
from quantilizers.figures.data_set import draw_correlation, draw_data_set, draw_in_order
from quantilizers.figures.style import save_figure
from quantilizers.figures.tables import results_cells, results_title, summary_tables
from quantilizers.numbers_in_words import short
from quantilizers.policies.keras_files import load_policy
from quantilizers.policies.policy import TrainedPolicies, family_of
from quantilizers.stages.run import Run
from quantilizers.stages.settings import Settings
from quantilizers.terminal import format_table, terminal_table

#: Test episodes of each policy in figures of observations.
EPISODES = 10

Drawn = tuple[Figure, dict[str, Any]]


def check(run: Run) -> None:
    """Refuse demonstrations that are missing or cannot be read, or have no groups to rank within."""
    run.demonstrations.groups_within(run.settings.selecting.within)


def inspect(run: Run) -> None:
    """Print tables of the data set and of each quantile's selection, and draw its returns."""
    settings = run.settings
    labels = settings.environment.figures
    summary = summarise(run.demonstrations, settings.selecting.within)
    title = f"{settings.environment.name}, data set {settings.layout.dataset}"
    print(summary_tables(title, summary, settings.quantiles, settings.wide))
    _save(run, "inspect", draw_data_set(summary, settings.quantiles, title, labels.true_label, labels.proxy_label))


def run(run: Run) -> None:
    """Print the tables and write the figures of the requested analyses."""
    settings = run.settings
    title = f"{settings.environment.name}, {dataset_title(settings.layout)}"
    for name in settings.analyses:
        if name in _TABLES:
            print(_TABLES[name](run, title))
            continue
        _save(run, name, _FIGURES[name](run, title))


def _save(run: Run, name: str, drawn: Drawn) -> None:
    figure, numbers = drawn
    path = run.settings.layout.figure(name)
    save_figure(figure, path, run.settings.record(), numbers)
    print(f"drew {path}")


def _smooth(run: Run, title: str) -> Drawn:
    labels = run.settings.environment.figures
    return draw_in_order(summarise(run.demonstrations), title, labels.true_label, labels.proxy_label)


def _scatter(run: Run, title: str) -> Drawn:
    labels = run.settings.environment.figures
    return draw_correlation(summarise(run.demonstrations), title, labels.true_label, labels.proxy_label)


def _average(run: Run, title: str) -> str:
    """Return the mean returns of all demonstrations, and of each player's."""
    demonstrations = run.demonstrations
    names = demonstrations.episodes.extras.get("player")
    rows = [_average_row("all", demonstrations, np.arange(demonstrations.number))]
    if names is not None and names.ndim == 1 and len(np.unique(names)) > 1:
        _, first, player = np.unique(names, return_index=True, return_inverse=True)
        rows += [
            _average_row(str(names[place]) or "unknown", demonstrations, np.flatnonzero(player == player[place]))
            for place in np.sort(first)
        ]
    head = ["player", "true return [95 %]", "proxy return [95 %]", "episodes", "steps"]
    return f"{title}\n{terminal_table(head, rows, run.settings.wide)}"


def _average_row(name: str, demonstrations: Demonstrations, chosen: npt.NDArray[np.intp]) -> list[str]:
    true, proxy = (
        mean_interval(returns[None, chosen]) for returns in (demonstrations.true_returns, demonstrations.proxy_returns)
    )
    true = true.within(*demonstrations.environment.true_range(int(demonstrations.lengths.max())))
    return [name, str(true), str(proxy), f"{len(chosen):,}", f"{int(demonstrations.lengths[chosen].sum()):,}"]


def _quantiles(run: Run, title: str) -> str:
    tested = run.tested
    cloning = compare_with_demonstrations(tested.selections, tested.results, run.demonstrations.proxy_returns)
    environment = run.settings.environment
    table = terminal_table(*results_cells(tested.results, cloning, environment), run.settings.wide)
    return f"{results_title(environment.name, dataset_title(run.settings.layout), tested.results)}\n{table}"


def _confusion_matrix(run: Run, title: str) -> Drawn:
    settings = run.settings
    confusions = held_out_confusions(
        run.demonstrations, settings.quantiles, settings.seeds, settings.training, settings.selecting.within
    )
    rows = [
        [f"{confusion.quantile:g}", str(component), f"{confusion.accuracy(component):.1%}",
         f"{confusion.most_frequent(component):.1%}", f"{int(counts.sum()):,}"]
        for confusion in confusions
        for component, counts in enumerate(confusion.counts)
    ]  # fmt: skip
    print(format_table(["q", "component", "accuracy", "most frequent action", "held-out steps × seeds"], rows))
    assert settings.environment.action_classes is not None
    return draw_confusion(confusions, settings.environment.action_classes, title)


def _pca_dataset(run: Run, title: str) -> Drawn:
    observations, actions, plane = _plane(run)
    points = Points("recorded", plane.transform(observations), actions)
    return draw_observations(None, [points], plane, f"{title}\nobservations and the actions taken on them")


def _pca_rollouts(run: Run, title: str) -> Drawn:
    settings = run.settings
    environment, seeds, max_steps, options = settings.environment, settings.seeds, settings.max_steps, settings.options
    observations, _, plane = _plane(run)
    people = Points("demonstrations", plane.transform(observations), None)
    episodes = min(EPISODES, settings.number_trajectories)
    rows = []
    for quantile in settings.quantiles:
        seen, chosen = visited(environment, _policies(settings, quantile), seeds, episodes, max_steps, options)
        rows.append(Points(f"policies of q = {quantile:g}", plane.transform(_rows(seen)), chosen))
    spread = people.places.std(axis=0)
    table = [
        [points.label, f"{len(points.places):,}", *map(short, (points.places.mean(axis=0) / spread).tolist()),
         *map(short, (points.places.std(axis=0) / spread).tolist())]
        for points in (people, *rows)
    ]  # fmt: skip
    head = ["", "steps", "mean 1", "mean 2", "spread 1", "spread 2"]
    print(f"in standard deviations of the demonstrations:\n{terminal_table(head, table, settings.wide)}")
    return draw_observations(people, rows, plane, f"{title}\nwhere policies go, and what they do there")


def _predict_dataset(run: Run, title: str) -> Drawn:
    settings, seeds = run.settings, run.settings.seeds
    observations, actions, plane = _plane(run)
    places = plane.transform(observations)
    rows, table = [Points("recorded", places, actions)], []
    episodes = run.demonstrations.with_observations().episodes
    whole = episodes.transitions()[0]
    # Recorded actions are classes; an expected value is not one.
    classes = settings.environment.action_classes is not None
    for quantile in settings.quantiles:
        policies = _policies(settings, quantile, "most_probable" if classes else None)
        policies.recall(episodes)
        predicted = policies.act(
            np.broadcast_to(whole, (len(seeds), *whole.shape)),
            [np.random.default_rng(seed) for seed in seeds],
            np.ones((len(seeds), len(whole)), dtype=np.bool_),
        )
        rows.append(Points(f"predicted by q = {quantile:g}, seed {seeds[0]}", places, predicted[0]))
        if classes:
            agreed = [f"{share:.1%}" for share in np.isclose(predicted, actions).mean(axis=(0, 1))]
        else:
            agreed = [short(error) for error in np.abs(predicted - actions).mean(axis=(0, 1)).tolist()]
        table.append([f"{quantile:g}", *agreed])
    what = "as recorded" if classes else "mean absolute error"
    components = map(str, range(actions.shape[1]))
    print(f"{what}, by component of the action:\n{terminal_table(['q', *components], table, settings.wide)}")
    return draw_observations(None, rows, plane, f"{title}\nwhat policies would do where people were")


def _plane(run: Run) -> tuple[npt.NDArray[Any], npt.NDArray[Any], PrincipalComponents]:
    """Return observations (n, D), actions (n, A), and the plane through the observations."""
    environment = run.settings.environment
    if len(environment.observation_shape) > 1 and environment.observation_dtype == np.uint8:
        raise UserError(
            f"principal components of the pictures of {environment.name} show brightness, not behaviour; "
            "leave pca_dataset, pca_rollouts and predict_dataset out of --analysis"
        )
    observations, actions = run.demonstrations.with_observations().episodes.transitions()
    return _rows(observations), actions, PrincipalComponents.of(_rows(observations))


def _rows(observations: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return observations.reshape(len(observations), -1)


def _policies(settings: Settings, quantile: float, acting: Acting | None = None) -> TrainedPolicies:
    environment, layout = settings.environment, settings.layout
    try:
        policies = [load_policy(layout.model(quantile, seed), environment) for seed in settings.seeds]
    except MissingError as error:
        raise MissingError(f"{error}; train it first: {settings.command_for('train')}") from None
    return family_of(environment).stack(environment, policies, acting or settings.acting)


_FIGURES: dict[str, Callable[[Run, str], Drawn]] = {
    "smooth": _smooth,
    "scatter": _scatter,
    "confusion_matrix": _confusion_matrix,
    "pca_dataset": _pca_dataset,
    "pca_rollouts": _pca_rollouts,
    "predict_dataset": _predict_dataset,
}
_TABLES: dict[str, Callable[[Run, str], str]] = {"average": _average, "quantiles": _quantiles}
