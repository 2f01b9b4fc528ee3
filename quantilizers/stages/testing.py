"""The stage `test`: let the trained policies act, and measure both returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from tqdm import tqdm

from quantilizers.datasets.finding import dataset_title
from quantilizers.errors import MissingError, UserError
from quantilizers.evaluation.cloning import Kept, compare_with_demonstrations, kept_episodes
from quantilizers.evaluation.measuring import NotFiniteError, measure_policies
from quantilizers.evaluation.results import Provenance, SeedResults
from quantilizers.figures.tables import results_table
from quantilizers.numbers_in_words import counted
from quantilizers.policies.hyper_parameters import AnyTraining, training_difference
from quantilizers.policies.keras_files import described, load_policy, training_in, treatment_in
from quantilizers.policies.policy import Policies, family_of
from quantilizers.stages.loading import find_demonstrations
from quantilizers.stages.settings import Settings


def run(settings: Settings) -> None:
    """Test the policies, save what was measured, and print a table.

    Raises:
        UserError: a policy was not trained yet, with other hyper-parameters, or on other demonstrations than there
            are now; or there are none.
    """
    environment, layout, seeds = settings.environment, settings.layout, settings.seeds
    demonstrations = find_demonstrations(settings)
    kept = kept_episodes(demonstrations, settings.quantiles, settings.treatment)
    training = settings.treatment.training(settings.training, demonstrations)
    provenances = [_provenance(settings, training, seed, kept) for seed in seeds]
    family = family_of(environment)

    def stack(wanted: Sequence[tuple[float, int]]) -> Policies:
        policies = [load_policy(layout.model(quantile, seed), environment) for quantile, seed in wanted]
        return family.stack(environment, policies, settings.acting)

    failure: NotFiniteError | None = None
    measured: Sequence[SeedResults | None]
    with tqdm(desc="testing", unit=" steps", unit_scale=True, dynamic_ncols=True) as bar:
        try:
            measured = measure_policies(
                environment,
                stack,
                settings.quantiles,
                seeds,
                settings.number_trajectories,
                settings.max_steps,
                settings.options,
                render=settings.render,
                on_step=bar.update,
            )
        except NotFiniteError as error:
            # What the others earned is not lost.
            failure, measured = error, error.results
    for seed, of_seed, provenance in zip(seeds, measured, provenances, strict=True):
        if of_seed is not None:
            chosen = [settings.quantiles.index(quantile) for quantile in of_seed.quantiles]
            of_chosen = replace(provenance, data=tuple(provenance.data[index] for index in chosen))
            replace(of_seed, provenance=of_chosen).save(layout.rewards(seed))
    if failure is not None:
        saved = sum(len(of_seed.quantiles) for of_seed in measured if of_seed is not None)
        raise UserError(f"{failure}; of the others {saved:,} were measured, in {layout.rewards(seeds[0]).parent}")
    results = [of_seed for of_seed in measured if of_seed is not None]
    print(f"{environment.name}, {dataset_title(layout)}, {counted(len(seeds), 'seed')}; mean [95 % interval]")
    print(results_table(results, compare_with_demonstrations(kept, results, demonstrations.proxy_returns), environment))
    print(f"measured rewards are in {layout.rewards(seeds[0]).parent}")


def _provenance(settings: Settings, training: AnyTraining, seed: int, kept: Sequence[Kept]) -> Provenance:
    """Return where the policies of a seed come from.

    Raises:
        UserError: one is missing, or is not what the settings ask for.
    """
    notes = [_checked_note(settings, training, of_quantile, seed) for of_quantile in kept]
    return Provenance(
        family=notes[0]["family"],
        training=asdict(training),
        acting=settings.acting,
        data=tuple(note["data"] for note in notes),
        treatment=asdict(settings.treatment),
    )


def _checked_note(settings: Settings, training: AnyTraining, kept: Kept, seed: int) -> dict[str, Any]:
    """Return what a policy's file says of it, and refuse one that was trained otherwise than it is wanted."""
    quantile = kept.quantile
    path, command = settings.layout.model(quantile, seed), settings.command_for("train")
    try:
        note = described(path)
        difference = treatment_in(path).difference(settings.treatment)
        difference = difference or training_difference(training_in(path), training)
    except MissingError:
        raise MissingError(f"{path} is missing; train it first: {command}") from None
    except UserError as error:
        raise UserError(f"{error}: {command}") from None
    if difference:
        raise UserError(f"{path} was trained with {difference}; train it again: {command}")
    wanted = {"environment": settings.environment.name, "quantile": quantile, "seed": seed}
    for name, value in wanted.items():
        if note[name] != value:
            raise UserError(f"{path} was trained for {name} {note[name]}, not {value}; train it again: {command}")
    if note["data"] != kept.data:
        raise UserError(
            f"{path} was trained on other demonstrations than q = {quantile:g} keeps of data set "
            f"{settings.layout.dataset} as it is now; train it again: {command}"
        )
    return note
