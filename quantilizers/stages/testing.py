"""The stage `test`: let the trained policies act, and measure both returns."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace

from tqdm import tqdm

from quantilizers.datasets.summary import dataset_title
from quantilizers.errors import MissingError, UserError
from quantilizers.evaluation.cloning import compare_with_demonstrations
from quantilizers.evaluation.elsewhere import measure_elsewhere
from quantilizers.evaluation.measuring import NotFiniteError, Stack, measure_policies
from quantilizers.evaluation.results import Provenance, SeedResults, joined
from quantilizers.figures.tables import results_table
from quantilizers.numbers_in_words import counted
from quantilizers.policies.keras_files import content_hash, load_policy
from quantilizers.policies.policy import Policies, TrainedPolicy, family_name, family_of
from quantilizers.policies.treatment import Selection
from quantilizers.stages.executing import executor_of
from quantilizers.stages.finished import (
    Job,
    OtherSettingsError,
    jobs_of,
    policy_difference,
    tested_jobs,
    tested_results,
)
from quantilizers.stages.run import Run
from quantilizers.stages.settings import Settings


def check(run: Run) -> None:
    """Refuse test results of other conditions or policies in this run's place.

    Raises:
        UserError: the demonstrations are missing or unusable.
        OtherSettingsError: a seed was tested under other conditions, or with policies of other settings or data.
    """
    if not run.settings.force:
        _ = run.measured


def check_trained(run: Run) -> None:
    """Refuse policies that are missing, damaged, or trained with other settings or data.

    Raises:
        UserError: there is such a policy; the message names the command that trains it.
    """
    for selection in run.selections.values():
        for seed in run.settings.seeds:
            _check_policy(run, selection, seed)


def forget(run: Run) -> None:
    """Delete the test results of a run; those of other quantiles under the same conditions stay."""
    settings = run.settings
    for seed in settings.seeds:
        path = settings.layout.rewards(seed)
        try:
            found = tested_results(settings, run.training, run.selection, seed)
        except OtherSettingsError:
            found = None
        others = [] if found is None else [q for q in found.quantiles.tolist() if q not in settings.quantiles]
        if found is not None and others:
            found.of(others).save(path)
        else:
            path.unlink(missing_ok=True)


def run(run: Run) -> None:
    """Test the policies that are not tested yet, save their results, and print a table of all.

    Raises:
        UserError: see `check` and `check_trained`; or the environment returned a reward of NaN or infinity.
    """
    settings = run.settings
    environment, layout, seeds = settings.environment, settings.layout, settings.seeds
    provenances = {seed: _provenance(run, seed) for seed in seeds}
    results = dict(run.measured)
    # With --render all episodes are shown, also those of finished tests.
    there = [] if settings.render else tested_jobs(results, settings.quantiles, provenances)
    missing = [job for job in run.jobs if job not in there]
    for seed, of_seed in list(results.items()):
        valid = [q for q in of_seed.quantiles.tolist() if (q, seed) not in missing]
        if valid:
            results[seed] = of_seed.of(valid)
        else:
            del results[seed]

    def stack(wanted: Sequence[Job]) -> Policies:
        policies = [load_policy(layout.model(quantile, seed), environment) for quantile, seed in wanted]
        return family_of(environment).stack(environment, policies, settings.acting)

    def save(measured: Mapping[int, SeedResults]) -> None:
        for seed, of_seed in measured.items():
            places = [settings.quantiles.index(quantile) for quantile in of_seed.quantiles]
            known = replace(of_seed, provenance=provenances[seed].of(places))
            results[seed] = joined([results[seed], known] if seed in results else [known], settings.quantiles)
            results[seed].save(layout.rewards(seed))
            for quantile in of_seed.quantiles.tolist():
                run.manifest.done(layout.rewards(seed), quantile=quantile, seed=seed)

    if there:
        print(f"{'all' if not missing else f'{len(there)} of'} {len(run.jobs)} policies are tested already")
    if missing and settings.executes_here:
        _measure(settings, missing, stack, save, results)
    elif missing:
        _measure_elsewhere(settings, missing, save, results)
    wanted = [results[seed].of(settings.quantiles) for seed in seeds]
    print(f"{environment.name}, {dataset_title(layout)}, {counted(len(seeds), 'seed')}; mean [95 % interval]")
    selections, proxy_returns = list(run.selections.values()), run.demonstrations.proxy_returns
    print(results_table(wanted, compare_with_demonstrations(selections, wanted, proxy_returns), environment))
    print(f"measured rewards are in {layout.rewards(seeds[0]).parent}")


def _measure(
    settings: Settings,
    missing: Collection[Job],
    stack: Stack,
    save: Callable[[Mapping[int, SeedResults]], None],
    results: Mapping[int, SeedResults],
) -> None:
    """Measure the policies that are missing, and save each as soon as it is measured.

    Raises:
        UserError: the environment paid some of them NaN or infinity; the others were measured.
    """
    alike: dict[tuple[float, ...], list[int]] = {}
    for seed in settings.seeds:
        of_seed = tuple(quantile for quantile in settings.quantiles if (quantile, seed) in missing)
        if of_seed:
            alike.setdefault(of_seed, []).append(seed)
    failure: NotFiniteError | None = None
    with tqdm(desc="testing", unit=" steps", unit_scale=True, dynamic_ncols=True) as bar:
        for quantiles, seeds in alike.items():
            try:
                measure_policies(
                    settings.environment,
                    stack,
                    quantiles,
                    seeds,
                    settings.number_trajectories,
                    settings.max_steps,
                    settings.options,
                    render=settings.render,
                    on_step=bar.update,
                    on_batch=save,
                )
            except NotFiniteError as error:
                # What the others earned is not lost.
                failure = error
    if failure is not None:
        raise _not_finite(settings, str(failure), results)


def _measure_elsewhere(
    settings: Settings,
    missing: Collection[Job],
    save: Callable[[Mapping[int, SeedResults]], None],
    results: Mapping[int, SeedResults],
) -> None:
    """Have other processes measure the policies that are missing, and save each seed as soon as it is measured.

    Raises:
        UserError: the environment paid some of them NaN or infinity; the others were measured.
    """
    wanted = {seed: [q for q in settings.quantiles if (q, seed) in missing] for seed in settings.seeds}
    wanted = {seed: quantiles for seed, quantiles in wanted.items() if quantiles}
    failures = []

    def load(quantile: float, seed: int) -> TrainedPolicy:
        return load_policy(settings.layout.model(quantile, seed), settings.environment)

    with (
        executor_of(settings) as executor,
        tqdm(total=len(wanted), desc="testing", unit="seed", dynamic_ncols=True) as bar,
    ):
        assert executor is not None
        for seed, of_seed, paid in measure_elsewhere(
            executor,
            settings.environment,
            load,
            wanted,
            settings.acting,
            settings.number_trajectories,
            settings.max_steps,
            settings.options,
        ):
            if of_seed is not None:
                save({seed: of_seed})
            failures += [paid] if paid else []
            bar.update()
    if failures:
        raise _not_finite(settings, "; ".join(failures), results)


def _not_finite(settings: Settings, failure: str, results: Mapping[int, SeedResults]) -> UserError:
    saved = sum(quantile in results[seed].quantiles for quantile, seed in jobs_of(settings) if seed in results)
    folder = settings.layout.rewards(settings.seeds[0]).parent
    return UserError(f"{failure}; of the others {saved:,} were measured, in {folder}")


def _provenance(run: Run, seed: int) -> Provenance:
    """Return the provenance of the policies of a seed, after checking them."""
    settings, selections = run.settings, run.selections.values()
    for selection in selections:
        _check_policy(run, selection, seed)
    return Provenance(
        family=family_name(settings.environment),
        training=asdict(run.training),
        acting=settings.acting,
        data=tuple(selection.data for selection in selections),
        treatment=asdict(settings.treatment),
        policies=tuple(content_hash(settings.layout.model(quantile, seed)) for quantile in run.selections),
    )


def _check_policy(run: Run, selection: Selection, seed: int) -> None:
    """Refuse a policy that is missing, damaged, or trained with other settings or data."""
    settings, path = run.settings, run.settings.layout.model(selection.quantile, seed)
    try:
        difference = policy_difference(settings, run.training, selection, seed)
    except MissingError:
        raise MissingError(f"{path} is missing; train it first: {settings.command_for('train')}") from None
    except UserError as error:
        raise UserError(f"{error}: {settings.command_for('train')}") from None
    if difference:
        again = settings.command_for("train", force=True)
        raise UserError(f"{path} was trained {difference}; train it again: {again}")
