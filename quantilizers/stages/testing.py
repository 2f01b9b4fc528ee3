"""The stage `test`: let the trained policies act, and measure both returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING

from quantilizers.datasets.summary import dataset_title
from quantilizers.errors import MissingError, UnreadableError, UserError
from quantilizers.evaluation.cloning import compare_with_demonstrations
from quantilizers.evaluation.measuring import (
    PolicyJob,
    described,
    measure,
    measuring_jobs,
    measuring_threads,
    progress,
    stacked,
)
from quantilizers.evaluation.results import Provenance, SeedResults, joined, load_results
from quantilizers.execution.worker_processes import WorkerProcesses
from quantilizers.figures.tables import results_cells, results_title
from quantilizers.numbers_in_words import all_or_some
from quantilizers.policies.keras_files import content_hash, load_policy, recipe_of
from quantilizers.policies.policy import Policies, family_name, scaling_of
from quantilizers.policies.selection_settings import Selection
from quantilizers.progress import ProgressBar
from quantilizers.stages.finished import OtherSettingsError, delete, refuse_loss
from quantilizers.stages.run import Run
from quantilizers.stages.settings import Settings
from quantilizers.terminal import terminal_table

if TYPE_CHECKING:
    from quantilizers.play.watch import Showing


def check(run: Run) -> None:
    """Refuse to replace test results with another recipe or, with `--force`, to delete those of other quantiles."""
    if not run.settings.force:
        _ = run.measured
        return
    for seed in run.settings.seeds:
        found, stays = _found(run, seed)
        if found is not None and not stays:
            refuse_loss(run.settings.layout.rewards(seed), found.quantiles.tolist(), (), run.settings)


def _found(run: Run, seed: int) -> tuple[SeedResults | None, bool]:
    """Return the test results of a seed, and whether those of other quantiles can stay beside this run's."""
    try:
        found = run.measured_of(seed)
        stays = found is not None
    except OtherSettingsError:
        found, stays = None, False
    try:
        return found or load_results(run.settings.layout.rewards(seed)), stays
    except UnreadableError:
        raise
    except UserError:  # missing or damaged
        return None, False


def check_trained(run: Run) -> None:
    """Raise a `UserError` with the way out if a policy is missing, damaged, or has another recipe."""
    for selection in run.selections.values():
        for seed in run.settings.seeds:
            check_policy(run, selection, seed)


def forget(run: Run) -> None:
    """Delete the test results of a run; those of other quantiles under the same conditions stay."""
    settings = run.settings
    whole = []
    for seed in settings.seeds:
        path = settings.layout.rewards(seed)
        found, _ = _found(run, seed)
        quantiles = [] if found is None else found.quantiles.tolist()
        others = [quantile for quantile in quantiles if quantile not in settings.quantiles]
        if found is None or not others:
            whole.append(path)
        elif len(others) < len(quantiles):
            gone = ", ".join(f"{quantile:g}" for quantile in quantiles if quantile not in others)
            print(f"--force deletes the rewards of q = {gone} in {path}")
            found.of(others).save(path)
    delete("rewards", whole)


def run(run: Run) -> None:
    """Test the policies that are not tested yet, save their results, and print a table of all.

    Raises:
        UserError: see `check_trained`; or the environment returned a reward of NaN or infinity.
    """
    settings = run.settings
    environment, layout, seeds = settings.environment, settings.layout, settings.seeds
    provenances = {seed: _provenance(run, seed) for seed in seeds}
    results = dict(run.measured)
    there = _tested(run, provenances)
    missing = [job for job in run.jobs if job not in there]
    for seed, of_seed in list(results.items()):
        valid = [q for q in of_seed.quantiles.tolist() if (q, seed) not in missing]
        if valid:
            results[seed] = of_seed.of(valid)
        else:
            del results[seed]

    def save(measured: Mapping[int, SeedResults]) -> None:  # as soon as a job is done
        for seed, of_seed in measured.items():
            places = [settings.quantiles.index(quantile) for quantile in of_seed.quantiles]
            known = replace(of_seed, provenance=provenances[seed].of(places))
            results[seed] = joined([results[seed], known] if seed in results else [known], settings.quantiles)
            results[seed].save(layout.rewards(seed))
            for quantile in of_seed.quantiles.tolist():
                run.manifest.done(layout.rewards(seed), quantile=quantile, seed=seed)

    if there:
        print(f"{all_or_some(len(there), len(run.jobs), 'policy', 'policies')} already tested")
    if missing:
        _measure(run, missing, save, results)
    wanted = [results[seed].of(settings.quantiles) for seed in seeds]
    print(results_title(environment.name, dataset_title(layout), wanted))
    selections, proxy_returns = list(run.selections.values()), run.demonstrations.proxy_returns
    cells = results_cells(wanted, compare_with_demonstrations(selections, wanted, proxy_returns), environment)
    print(terminal_table(*cells, settings.wide))
    print(f"measured rewards are in {layout.rewards(seeds[0]).parent}")
    if settings.render:
        _show_first_episodes(settings)


def _show_first_episodes(settings: Settings) -> None:
    """Show the first test episode of each policy in a window, one after the other, until the user presses Esc."""
    from quantilizers.play.watch import episode_of, show_once  # needs pygame

    # TensorFlow, which may be in this process, and OpenGL or the emulator's window crash in the same one.
    with WorkerProcesses(1) as windows:
        for quantile in settings.quantiles:
            for seed in settings.seeds:
                showing = first_test_episode(settings, quantile, seed)
                going_on, description = windows.call("showing an episode", show_once, showing, episode_of(showing))
                print(description)
                if not going_on:
                    return


def first_test_episode(settings: Settings, quantile: float | None, seed: int) -> Showing:
    """Return the first test episode of the policy of a quantile, to show; with None it can be an optimiser's."""
    from quantilizers.play.watch import Showing  # needs pygame

    return Showing(
        environment=settings.environment,
        layout=settings.layout,
        episode="1",
        by_true=False,
        quantile=quantile,
        policy_seed=seed,
        max_steps=settings.max_steps,
        acting=settings.acting,
        options=settings.options,
    )


def _tested(run: Run, provenances: Mapping[int, Provenance]) -> list[PolicyJob]:
    """Return the jobs whose test results are of the policies as they are now, which the provenances describe."""
    found = []
    for seed, of_seed in run.measured.items():
        now = zip(run.settings.quantiles, provenances[seed].policies, strict=True)
        found += [(quantile, seed) for quantile, policy in now if of_seed.policies.get(quantile) == policy]
    return found


def _measure(
    run: Run,
    missing: Sequence[PolicyJob],
    save: Callable[[Mapping[int, SeedResults]], None],
    results: Mapping[int, SeedResults],
) -> None:
    """Measure the policies that are missing, and save each as soon as it is measured."""
    settings = run.settings
    environment, layout = settings.environment, settings.layout

    def stack(batch: Sequence[PolicyJob]) -> Callable[[], Policies]:
        policies = [load_policy(layout.model(quantile, seed), environment) for quantile, seed in batch]
        return partial(stacked, environment, policies, settings.acting)

    not_finite: dict[PolicyJob, str] = {}
    threads, episodes = measuring_threads(environment), settings.number_trajectories
    with (
        run.executor(threads=threads) as executor,
        ProgressBar(doing="testing", unit="steps", unit_scale=True) as bar,
    ):
        jobs = measuring_jobs(
            environment,
            missing,
            stack,
            episodes,
            settings.max_steps,
            settings.options,
            executor,
        )
        for _, measured in executor.map(measure, jobs, progress(bar.update)):
            save(measured.results)
            not_finite |= measured.not_finite
    if not_finite:
        ordered = {policy: not_finite[policy] for policy in missing if policy in not_finite}
        saved = sum(quantile in results[seed].quantiles for quantile, seed in run.jobs if seed in results)
        raise UserError(
            f"{described(environment, ordered)}; of the others {saved:,} were measured, in "
            f"{layout.rewards(settings.seeds[0]).parent}"
        )


def _provenance(run: Run, seed: int) -> Provenance:
    """Return the provenance of the policies of a seed, after checking them."""
    settings, selections = run.settings, run.selections.values()
    for selection in selections:
        check_policy(run, selection, seed)
    return Provenance(
        family=family_name(settings.environment),
        training=asdict(run.training),
        acting=settings.acting,
        data=tuple(selection.data for selection in selections),
        selecting=asdict(settings.selecting),
        policies=tuple(content_hash(settings.layout.model(quantile, seed)) for quantile in run.selections),
        definition=settings.definition,
        scaling=scaling_of(settings.environment),
    )


def check_policy(run: Run, selection: Selection, seed: int, settings: Settings | None = None) -> None:
    """Raise a `UserError` with the way out if a policy is missing, damaged, or has another recipe.

    Args:
        run: has the recipe.
        selection: that the policy imitates.
        seed: of its training.
        settings: whose command trains it; None takes the run's.
    """
    settings, path = settings or run.settings, run.settings.layout.model(selection.quantile, seed)
    try:
        difference = run.policy_difference(recipe_of(path), selection, seed)
    except MissingError:
        raise MissingError(f"{path} is missing; train it first: {settings.command_for('train')}") from None
    except UnreadableError:
        raise
    except UserError as error:
        raise UserError(f"{error}: {settings.command_for('train')}") from None
    if difference:
        again = settings.command_for("train", force=True)
        raise UserError(f"{path} was trained {difference}; train it again: {again}")
