"""The stage `plot`: a figure of what was tested."""

from __future__ import annotations

from dataclasses import replace

from quantilizers.datasets.finding import dataset_title
from quantilizers.errors import MissingError, UserError
from quantilizers.evaluation.results import MixedResultsError, SeedResults, differences, load_all_results
from quantilizers.figures.bars import Aggregate, draw_bars
from quantilizers.figures.distributions import draw_distributions
from quantilizers.figures.style import save_figure
from quantilizers.optimisers.measurements import Measurement, load_measurement
from quantilizers.stages.loading import find_demonstrations
from quantilizers.stages.settings import Settings


def run(settings: Settings) -> None:
    """Draw the figure in the wanted style and write it with its numbers.

    Raises:
        UserError: a seed or a quantile was not tested yet.
    """
    environment, layout, seeds = settings.environment, settings.layout, settings.seeds
    results = load_tested(settings)
    title = f"{environment.name}, {dataset_title(layout)}"
    if settings.plotstyle == "distribution":
        figure, numbers = draw_distributions(find_demonstrations(settings), results, seeds, title)
    else:
        measured = load_optimiser(settings, results[0])
        aggregate: Aggregate = "median" if settings.plotstyle == "median_seeds" else "mean"
        figure, numbers = draw_bars(environment, results, seeds, measured, title, aggregate)
    record, tested = settings.record(), results[0]
    # What was in force when the policies were tested is what the figure shows.
    record["settings"] |= {
        "max_steps": tested.max_steps,
        "number_trajectories": tested.lengths.shape[1],
        "options": dict(tested.options),
    }
    if tested.provenance is None:
        record["settings"] |= {"family": None, "training": None, "acting": None}
    path = layout.figure(settings.plotstyle)
    save_figure(figure, path, record, numbers)
    print(f"drew {path}")


def load_tested(settings: Settings) -> list[SeedResults]:
    """Read what testing measured, one seed after the other, each with the wanted quantiles.

    Raises:
        UserError: a seed or a quantile was not tested yet, the seeds were not tested alike, or what was tested are
            policies with other hyper-parameters than the settings ask for.
    """
    paths = [settings.layout.rewards(seed) for seed in settings.seeds]
    command = settings.command_for("test")
    try:
        results = load_all_results(paths, settings.environment.name, settings.quantiles)
    except (MissingError, MixedResultsError) as error:
        raise type(error)(f"{error}; run: {command}") from None
    in_force = settings.record()["settings"]
    wanted = {**in_force["training"], "family": in_force["family"], "acting": in_force["acting"]}
    for path, of_seed in zip(paths, results, strict=True):
        # Horizon, number of episodes and options are taken as they were; the figure's record names them.
        tested = {name: value for name, value in of_seed.conditions.items() if name in wanted}
        different = differences(tested, wanted)
        if different:
            raise UserError(f"{path} was tested with other settings: {different}; run: {command}")
    return results


def load_optimiser(settings: Settings, tested: SeedResults) -> Measurement | None:
    """Return what the optimiser was measured to earn, None where it was not.

    Args:
        settings: names the optimiser and its seeds.
        tested: results of the quantilizers that it is compared with.

    Raises:
        UserError: it was measured under another horizon or with other options of the environment.
    """
    own_horizon = replace(settings, max_steps=settings.environment.max_steps, options=tested.options)
    command = f"{own_horizon.command_for('optimize')} --max_steps {tested.max_steps}"
    try:
        measured = load_measurement(settings.layout, settings.seeds, settings.optimiser_variant)
    except UserError as error:
        raise UserError(f"{error}; run: {command}") from None
    if measured is not None:
        first = measured.results[0]
        if (first.max_steps, dict(first.options)) != (tested.max_steps, dict(tested.options)):
            raise UserError(
                "the optimiser and the quantilizers were measured with different --max_steps or options of the "
                f"environment; measure the optimiser again: {command}"
            )
    return measured
