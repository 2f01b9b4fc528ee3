"""The stage `plot`: a figure of what was tested, beside the demonstrations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from textwrap import wrap
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.datasets.summary import dataset_title
from quantilizers.errors import MissingError, UserError
from quantilizers.evaluation.cloning import compare_with_demonstrations
from quantilizers.evaluation.intervals import Interval, mean_interval
from quantilizers.evaluation.pressure import Pressures, load_pressures
from quantilizers.evaluation.results import SeedResults
from quantilizers.figures.against_lambda import AgentReturns, draw_penalties, penalties_rows
from quantilizers.figures.distributions import draw_boxes, draw_distributions
from quantilizers.figures.frontier import FrontierAgent, draw_frontier
from quantilizers.figures.returns import Aggregate, draw_returns
from quantilizers.figures.style import save_figure
from quantilizers.files import sha256_of
from quantilizers.numbers_in_words import counted
from quantilizers.optimisers.agents import job_of_agent
from quantilizers.optimisers.algorithms import ALGORITHMS, variant_of
from quantilizers.optimisers.kl_control import divergences_of
from quantilizers.optimisers.measurements import Measurement, load_measurement
from quantilizers.optimisers.paths import OptimisationPath, load_path_of
from quantilizers.progress import say
from quantilizers.quantilize import METHODS, rule_named, top_k_of_n_divergence
from quantilizers.stages.finished import record_difference
from quantilizers.stages.measuring_pressure import drawn, imitator_difference
from quantilizers.stages.run import Run, Tested
from quantilizers.stages.settings import Settings
from quantilizers.stages.study_files import softer_arms
from quantilizers.studies.base_distribution import BaseDistribution, find_base_distribution
from quantilizers.studies.bounds import COSTS, episode_costs
from quantilizers.studies.exact import QUANTILES, ExactCurve, Frontier, trace_frontier
from quantilizers.studies.within_starts import bounds_within_starts, trace_within_starts
from quantilizers.terminal import terminal_table, wrapped

#: Of a line above the frontier.
MOST_LETTERS = 125


def check(run: Run) -> None:
    """Refuse a frontier within groups that have unequal numbers of episodes."""
    settings = run.settings
    if settings.plotstyle == "frontier" and not frontier_is_possible(settings, run.demonstrations):
        raise UserError(
            "groups have unequal numbers of episodes, and --plotstyle frontier with --within group needs as many in "
            "each; choose another --plotstyle"
        )


def frontier_is_possible(settings: Settings, demonstrations: Demonstrations) -> bool:
    """Return whether the frontier can be drawn: groups within which episodes are ranked have as many each."""
    groups = demonstrations.groups_within(settings.selecting.within)
    return groups is None or len(set(np.bincount(groups).tolist())) == 1


def run(run: Run) -> None:
    """Draw the figure of `--plotstyle` and write it with its numbers."""
    settings, tested = run.settings, run.tested
    first = tested.results[0]
    cloning = compare_with_demonstrations(tested.selections, tested.results, tested.demonstrations.proxy_returns)
    figure, numbers = draw_style(settings, tested, settings.plotstyle)
    if settings.plotstyle == "frontier":
        print(wrapped(numbers["frontier"]["turn"]))
    numbers.setdefault("quantiles", list(settings.quantiles))
    numbers.setdefault("seeds", list(settings.seeds))
    numbers["demonstrations"] = [of_quantile.as_numbers() for of_quantile in cloning]
    record = settings.record()
    # The conditions of the test, not those of this run's flags.
    record["settings"] |= {
        "max_steps": first.max_steps,
        "number_trajectories": first.lengths.shape[1],
        "options": dict(first.options),
    }
    if first.provenance is None:
        record["settings"] |= {"family": None, "training": None, "acting": None, "treatment": None}
    if not tested.known:
        # The policies may imitate other demonstrations than the current ones.
        record["data_sha256"] = None
        for of_quantile in numbers["demonstrations"]:
            of_quantile["sha256"] = None
    path = settings.layout.figure(settings.plotstyle)
    save_figure(figure, path, record, numbers)
    print(f"drew {path}")


def draw_style(settings: Settings, tested: Tested, style: str) -> tuple[Figure, dict[str, Any]]:
    """Draw test results in one of `PLOT_STYLES`; return the figure and the numbers in it."""
    environment, results = settings.environment, tested.results
    title = f"{environment.name}, {dataset_title(settings.layout)}"
    if style == "distribution":
        return draw_distributions(tested.selections, results, settings.seeds, title)
    if style == "boxplot":
        return draw_boxes(environment, results, tested.selections, title)
    if style == "lambda":
        arms = _arms(settings, tested)
        print(f"{title}; beside {arms[0].label}, and the λ at which both earn the same [95 % interval]")
        print(terminal_table(["", "proxy return more", "−I/λ more", "λ"], penalties_rows(arms), settings.wide))
        return draw_penalties(arms, results[0].options["lamb"], title, environment.figures.true_label)
    optimisers = load_optimisers(settings, results)
    if style == "frontier":
        return _draw_frontier(settings, tested, optimisers, title)
    aggregate: Aggregate = "median" if style == "median_seeds" else "mean"
    measured = next((one for one in optimisers if one.algorithm == settings.algorithm), None)
    others = [one for one in optimisers if one is not measured]
    return draw_returns(environment, results, settings.seeds, measured, title, aggregate, tested.selections, others)


def _draw_frontier(
    settings: Settings, tested: Tested, optimisers: Sequence[Measurement], title: str
) -> tuple[Figure, dict[str, Any]]:
    """Draw curves of the exact selection rules, and on them the tested agents.

    The curves are of the base distribution where it is known, and otherwise of the demonstrations. They are within
    starts where the base distribution was sampled from some starts.
    """
    demonstrations, environment = tested.demonstrations, settings.environment
    base = find_base_distribution(settings.layout, demonstrations)
    softer = softer_arms(settings, demonstrations)
    shown = [measured.algorithm for measured in optimisers]
    if settings.wanted_optimisers is None:
        shown += [name for name, algorithm in ALGORITHMS.items() if algorithm.plans or algorithm.from_imitator]
    imitators = _imitators(settings, tested.results)
    paths = load_paths(settings, tested.results[0], list(dict.fromkeys(shown)), imitators)
    groups = demonstrations.groups_within(settings.selecting.within)
    frontier, pooled, sample, resampled = _exact_rules(base, demonstrations, groups)
    # Demonstrations may be longer than test episodes.
    recorded = [one.lengths.max() for one in (demonstrations, base) if one is not None]
    possible = environment.true_range(max(tested.results[0].max_steps, *map(int, recorded)))
    frontier = frontier.within(*possible)
    agents, drawing, method = [], list[FrontierAgent](), settings.selecting.method
    measured_at = _pressures(settings, tested, imitators)
    for index, selection in enumerate(tested.selections):
        true, proxy = map(mean_interval, tested.returns(index))
        true = true.within(*possible)
        label, pressure = rule_named(method).cloned, float(np.sqrt(selection.divergence))
        row = measured_at.get((selection.quantile, ""))
        own = row.divergence if row is not None and settings.acting == "sample" else None
        agents.append(FrontierAgent(label, true, proxy, selection.quantile, pressure, method, own))
        if row is not None and own is None:
            # The policies as tested have no probabilities; drawing their actions they are other agents.
            returns = row.true.within(*possible), row.proxy
            drawing.append(
                FrontierAgent(f"{label}, drawing", *returns, selection.quantile, pressure, method, row.divergence)
            )
    agents += drawing
    agents += softer
    over = f"{agents[0].label}: {counted(demonstrations.number, 'demonstration')}, {agents[0].true.over}"
    for measured in optimisers:
        label = ALGORITHMS[measured.algorithm].label
        true, proxy = mean_interval(measured.true_returns).within(*possible), mean_interval(measured.proxy_returns)
        of_optimiser = measured_at.get((None, measured.algorithm))
        divergence = _own_divergence(settings, measured) if of_optimiser is None else of_optimiser.divergence
        agents.append(FrontierAgent(label, true, proxy, divergence=divergence))
        over += f"; {label}: {true.over}"
    turn = frontier.curve("quantile").turning_point
    cloned = rule_named(method).cloned + ("" if settings.acting == "sample" else ", drawing")
    at_equal_kl, leads = _at_equal_kl(
        settings, paths, measured_at, cloned, [one.label for one in agents if one.divergence is None]
    )
    figure, numbers = draw_frontier(
        frontier.curves,
        agents,
        "\n".join([title, *wrap(f"curves: {sample}, {resampled}; {over}", MOST_LETTERS)]),
        environment.figures.true_label,
        environment.figures.proxy_label,
        turn,
        paths,
        pooled,
        possible,
        f"most true return at equal KL: {leads}" if leads else "",
    )
    sentence = "too few episodes to look for a turn" if turn is None else turn.sentence()
    sentence = f"exact quantilizer ({sample}): {sentence}"
    of_base = None if base is None else {"players": base.players, "seed": base.seed, "made_by": base.made_by}
    about = {"turn": sentence, "base_distribution": of_base, "bounds": _bounds(base, frontier)}
    return figure, {**numbers, "equal_kl": at_equal_kl, "frontier": {**frontier.as_numbers(), **about}}


def _at_equal_kl(
    settings: Settings,
    paths: Sequence[OptimisationPath],
    measured_at: Mapping[tuple[float | None, str], Pressures],
    cloned: str,
    unplaced: Sequence[str],
) -> tuple[dict[str, Any], str]:
    """Compare the true returns of all paths of known KL at equal KL, and print them.

    Returns:
        The numbers, with the labels of unknown KL, and a text on who leads, which may be empty.
    """
    # It needs scipy.stats, which other figures do not wait for.
    from quantilizers.studies.equal_kl import KLPath, compare_at_equal_kl, who_leads

    rows = [row for (quantile, algorithm), row in measured_at.items() if quantile is not None and not algorithm]
    found = [(path.label, KLPath.of_optimiser(path)) for path in paths]
    known = [path for _, path in found if path is not None]
    if len(rows) > 1:
        known.append(KLPath.of_pressures(cloned, rows))
    unknown = list(dict.fromkeys([*unplaced, *(label for label, path in found if path is None)]))
    base = measured_at.get((1.0, ""))
    means = [] if base is None else base.true_returns.mean(axis=1).tolist()
    compared = compare_at_equal_kl(known, {} if base is None else dict(zip(base.seeds, means, strict=True)))
    numbers = {"pairs": [one.as_numbers() for one in compared], "unknown": unknown}
    levels = sorted({one.level for pair in compared for one in pair.levels})
    if not levels:
        return numbers, ""
    over = "mean [95 % interval over pairs of seeds], decided after Holm's correction over the KLs of a pair"
    print(wrapped(f"true return at equal KL from imitation, the first path's less the second's; {over}"))
    table = [[f"{level:g}", *(str(pair.at(level) or "–") for pair in compared)] for level in levels]
    print(terminal_table(["KL, nats", *(pair.title for pair in compared)], table, settings.wide))
    for pair in compared:
        print(wrapped(pair.sentence()))
    if unknown:
        print(wrapped(f"unknown, because the KL is: {', '.join(unknown)}"))
    return numbers, who_leads(compared)


def _imitators(settings: Settings, results: Sequence[SeedResults]) -> dict[int, str]:
    """Return the content hash of the tested policy of all demonstrations, by seed, where it is known."""
    of_seeds = zip(settings.seeds, results, strict=True)
    return {seed: of_seed.policies[1.0] for seed, of_seed in of_seeds if 1.0 in of_seed.policies}


def _pressures(
    settings: Settings, tested: Tested, imitators: Mapping[int, str]
) -> dict[tuple[float | None, str], Pressures]:
    """Return the divergences of the tested policies and of optimisers from the imitators, by quantile and algorithm."""
    first, path = tested.results[0], settings.layout.pressure
    as_tested = replace(
        settings, max_steps=first.max_steps, number_trajectories=first.lengths.shape[1], options=first.options
    )
    command = as_tested.command_for("pressure")
    if not path.exists():
        say(f"cloned policies are drawn as of unknown KL, which was not measured; run: {command}")
        return {}
    difference = record_difference(path, drawn(as_tested))
    if difference:
        say(f"left out {path}: it was measured {difference}; run: {command} --force")
        return {}
    policies = {
        (quantile, seed): policy
        for seed, of_seed in zip(settings.seeds, tested.results, strict=True)
        for quantile, policy in of_seed.policies.items()
    }
    found = {}
    for row in load_pressures(path):
        of_file = dict(zip(row.seeds, row.agents, strict=True))
        if row.algorithm in ALGORITHMS:
            paths = {seed: settings.layout.optimiser_agent(row.algorithm, seed) for seed in settings.seeds}
            now = {seed: sha256_of(agent) for seed, agent in paths.items() if agent.exists()}
        elif row.algorithm or row.quantile not in settings.quantiles:
            continue
        else:
            now = {seed: policies.get((row.quantile, seed), "") for seed in settings.seeds}
        known = row.of(list(now)) if now and now.items() <= of_file.items() else None
        if known is not None and not _of_others(known.seeds, known.imitators, imitators):
            found[row.key] = known
        else:
            name = ALGORITHMS[row.algorithm].label if row.algorithm else f"q = {row.quantile:g}"
            say(f"the KL of {name} is drawn as unknown: {path} is of other agents; run: {command}")
    return found


def _of_others(seeds: Sequence[int], made_from: Sequence[str], imitators: Mapping[int, str]) -> list[int]:
    """Return the seeds whose agents are of other imitators than the known ones."""
    return [seed for seed, one in zip(seeds, made_from, strict=True) if one != imitators.get(seed, one)]


def _own_divergence(settings: Settings, measured: Measurement) -> Interval | None:
    """Return the KL that an agent made from the imitator has by construction, or notes itself; None of others."""
    about, episodes = ALGORITHMS[measured.algorithm], measured.true_returns.shape[1]
    if not about.from_imitator:
        return None
    try:
        jobs = [job_of_agent(settings.environment, settings.layout, measured.algorithm, one) for one in measured.seeds]
        if about.imitates:
            rows = np.array([[top_k_of_n_divergence(job.steps, job.top_k)] * episodes for job in jobs])
        else:
            rows = np.stack([divergences_of(replace(job, number_trajectories=episodes)) for job in jobs])
    except MissingError as error:
        say(f"the KL of {about.label} is drawn as unknown: {error}")
        return None
    return mean_interval(rows).within(0.0, np.inf)


def _exact_rules(
    base: BaseDistribution | None, demonstrations: Demonstrations, groups: npt.NDArray[Any] | None
) -> tuple[Frontier, ExactCurve | None, str, str]:
    """Return the exact rules within starts where starts were sampled, else pooled, and two descriptions.

    Demonstrations that are ranked within their groups (N,) are also selected within them. The second result is the
    pooled quantilizer beside one within starts. The descriptions are of the sample, and of what intervals are over.
    """
    if base is not None and base.start is not None:
        frontier = trace_within_starts(base.true_returns, base.proxy_returns, base.start, base.player)
        grid = frontier.curve("quantile").quantiles.tolist()
        # Its few resamples give the intervals of a curve that is beside the question.
        pooled = trace_frontier(base.true_returns, base.proxy_returns, grid, METHODS[:1], resamples=20)
        drawn = f"resampled by starts and by {frontier.players:,} players"
        return frontier, pooled.curve("quantile"), f"{base.title}, selected within starts", drawn
    if base is None and groups is not None:
        each = len(groups) // (int(groups.max()) + 1)
        frontier = trace_within_starts(
            demonstrations.true_returns,
            demonstrations.proxy_returns,
            groups,
            demonstrations.players,
            # The demonstrations are all there is: one episode of each group is the least.
            [quantile for quantile in QUANTILES if quantile * each >= 1],
        )
        drawn = "resampled by groups" + ("" if frontier.players is None else f" and by {frontier.players:,} players")
        return frontier, None, f"{counted(demonstrations.number, 'demonstration')}, selected within groups", drawn
    if base is not None:
        frontier = trace_frontier(base.true_returns, base.proxy_returns, players=base.several_players)
        sample = base.title
    else:
        frontier = trace_frontier(
            demonstrations.true_returns, demonstrations.proxy_returns, players=demonstrations.players
        )
        sample = counted(demonstrations.number, "demonstration")
    drawn = "one by one" if frontier.players is None else f"by whole players, {frontier.players:,} of them"
    return frontier, None, f"{sample}, pooled over starts", f"resampled {drawn}"


def _bounds(base: BaseDistribution | None, frontier: Frontier) -> dict[str, Any] | None:
    """Return costs of the exact quantilizer within starts beside their bounds, for the figure's numbers."""
    if base is None or base.start is None:
        return None
    grid = frontier.curve("quantile").quantiles.tolist()
    true = base.true_returns
    costs = {name: episode_costs(name, true, true) for name in COSTS}
    found = {
        name: bounds_within_starts(cost, base.proxy_returns, base.start, grid).as_numbers()
        for name, cost in costs.items()
    }
    return {"quantiles": grid, "costs": found}


def _arms(settings: Settings, tested: Tested) -> list[AgentReturns]:
    """Return the tested quantilizers, and the optimisers measured under the same conditions, for returns at any λ."""
    second, options = settings.environment.second_quantity, tested.results[0].options
    assert second is not None
    arms = []
    for index, selection in enumerate(tested.selections):
        true, proxy = tested.returns(index)
        losses = selection.second_quantities
        label = "imitation" if selection.quantile == 1 else f"q = {selection.quantile:g}"
        loss = float(selection.mean(losses))
        arms.append(AgentReturns(label, proxy, second(true, proxy, options), selection.proxy_return, loss))
    tested_imitators = _imitators(settings, tested.results)
    return [*arms, *optimiser_arms(settings, tested.results[0].max_steps, options, tested_imitators)]


def optimiser_arms(
    settings: Settings, max_steps: int, options: Mapping[str, Any], imitators: Mapping[int, str]
) -> list[AgentReturns]:
    """Return the optimisers that were measured with a horizon and options, for returns at any λ.

    The imitators are the content hashes of the policies of q = 1 by seed; agents made from others are left out.
    """
    second, arms = settings.environment.second_quantity, list[AgentReturns]()
    assert second is not None
    for algorithm, about in ALGORITHMS.items():
        variant = variant_of(algorithm, settings.environment.experiment.optimisers)
        try:
            measured = load_measurement(settings.layout, settings.seeds, variant)
        except MissingError as error:
            say(f"left out: {error}")
            continue
        if measured is None:
            continue
        first = measured.results[0]
        if (first.max_steps, dict(first.options)) != (max_steps, dict(options)):
            say(f"left out: {about.label} was measured with other --max_steps or options")
        elif other := imitator_difference(settings, measured, imitators):
            say(f"left out: {other}")
        else:
            losses = second(measured.true_returns, measured.proxy_returns, options)
            arms.append(AgentReturns(about.label, measured.proxy_returns, losses))
    return arms


def load_optimisers(settings: Settings, tested: Sequence[SeedResults], every: bool = False) -> list[Measurement]:
    """Return the measurements of optimisers, in the order of figures.

    Without `--optimisers`, and unless `every` one is wanted, these are random play, the sampling quantilizer,
    `--algorithm`, and the optimiser with the greatest proxy return, of those that were measured under the conditions of
    the test.

    Raises:
        UserError: an optimiser that the flags name was not measured, or under other conditions.
    """
    own = load_optimiser(settings, tested, settings.algorithm)
    if settings.wanted_optimisers is not None:
        named = [name for name in settings.wanted_optimisers if name != settings.algorithm]
        found = {name: load_optimiser(settings, tested, name) for name in named}
        for name, measured in found.items():
            if measured is None:
                command = settings.with_algorithm(name).command_for("optimize")
                raise MissingError(f"{ALGORITHMS[name].label} was not measured yet with these seeds; run: {command}")
        return [measured for measured in (own, *found.values()) if measured is not None]
    others: dict[str, Measurement] = {}
    for name in ALGORITHMS:
        try:
            one = None if name == settings.algorithm else load_optimiser(settings, tested, name)
        except UserError as error:
            say(f"left out of the figure: {error}")
            continue
        if one is not None:
            others[name] = one
    if every:
        return [*(() if own is None else (own,)), *others.values()]
    chosen = [one for name, one in others.items() if not ALGORITHMS[name].optimises]
    chosen += [one for name, one in others.items() if ALGORITHMS[name].from_imitator]
    if own is not None:
        chosen.append(own)
    optimising = [
        one
        for one in (*chosen, *others.values())
        if ALGORITHMS[one.algorithm].optimises and not ALGORITHMS[one.algorithm].on_true
    ]
    if optimising:
        chosen.append(max(optimising, key=lambda one: float(one.proxy_returns.mean())))
    return list({one.algorithm: one for one in chosen}.values())


def load_paths(
    settings: Settings, tested: SeedResults, algorithms: Sequence[str], imitators: Mapping[int, str]
) -> list[OptimisationPath]:
    """Return optimisers' returns from little effort to much, under the conditions of the test.

    Paths of agents that were made from other imitators than the tested ones are left out, because their KL is another.
    Variants of an algorithm that share their training have the same path; it is returned once.
    """
    found: list[OptimisationPath] = []
    for name in algorithms:
        file = settings.layout.optimiser_path(name)
        path = load_path_of(file)
        if path is None:
            continue
        if not _same_conditions(path, tested):
            print(f"left out {file}: it was measured with other --max_steps or options of the environment")
            continue
        if path.imitators and _of_others(path.seeds, path.imitators, imitators):
            print(f"left out {file}: its agents were made from other imitators than the tested ones")
            continue
        if not any(_returns(path) == _returns(other) for other in found):
            found.append(path)
    return found


def _returns(path: OptimisationPath) -> list[bytes]:
    return [point.proxy_returns.tobytes() for point in path.points]


def _same_conditions(one: SeedResults | OptimisationPath, other: SeedResults) -> bool:
    return not one.recipe.difference(other.recipe, only=("max_steps", "options"))


def load_optimiser(settings: Settings, tested: Sequence[SeedResults], algorithm: str) -> Measurement | None:
    """Return the measurement of an optimiser; None if it was not measured.

    Raises:
        UserError: it was measured with another `--max_steps` or other options than the policies, or its agents were
            made from other imitators than the tested ones.
    """
    own_horizon = replace(
        settings.with_algorithm(algorithm), max_steps=settings.environment.max_steps, options=tested[0].options
    )
    command = f"{own_horizon.command_for('optimize')} --max_steps {tested[0].max_steps}"
    variant = variant_of(algorithm, settings.environment.experiment.optimisers)
    try:
        measured = load_measurement(settings.layout, settings.seeds, variant)
    except UserError as error:
        raise UserError(f"{error}; run: {command}") from None
    if measured is None:
        return None
    if not _same_conditions(measured.results[0], tested[0]):
        raise UserError(
            f"the optimiser ({ALGORITHMS[algorithm].label}) and the quantilizers were measured with different "
            f"--max_steps or options of the environment; measure the optimiser again: {command}"
        )
    if other := imitator_difference(settings, measured, _imitators(settings, tested)):
        raise UserError(f"{other}; give this run another --path, or measure the optimiser again: {command} --force")
    return measured
