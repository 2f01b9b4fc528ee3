"""One run of the command line: its settings, and what its stages share, read or computed once."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from quantilizers.datasets.demonstrations import Demonstrations, WrongEnvironmentError
from quantilizers.datasets.which_reward import WhichRewardError
from quantilizers.demonstrations.episodes import WITHOUT_OBSERVATIONS
from quantilizers.envs.identity import SENTENCES
from quantilizers.errors import MissingError, UnreadableError, UserError, one_line
from quantilizers.evaluation.measuring import PolicyJob
from quantilizers.evaluation.results import MixedResultsError, SeedResults, load_all_results, load_results
from quantilizers.execution.executor import Executor
from quantilizers.execution.worker_processes import executor_for
from quantilizers.policies.hyper_parameters import AnyTraining
from quantilizers.policies.keras_files import content_hash, load_policy, recipe_of
from quantilizers.policies.policy import family_name, scaling_of
from quantilizers.policies.selection_settings import Selection
from quantilizers.processors import available_cores
from quantilizers.programs import call_of
from quantilizers.recipe import Recipe
from quantilizers.rewards import FloatArray
from quantilizers.stages.finished import refuse_other, weights_hash
from quantilizers.stages.manifest import SILENT, Manifest
from quantilizers.stages.settings import TELL_REWARD, Settings, ways_to_demonstrations


@dataclass(frozen=True, eq=False)
class Tested:
    """Test results, and the demonstrations that the tested policies imitate.

    Attributes:
        results: one for each seed, with the quantiles of the run.
        demonstrations: the whole data set.
        selections: one for each quantile.
        known: whether the results' files note what the policies imitate; those of the first versions do not.
    """

    results: list[SeedResults]
    demonstrations: Demonstrations
    selections: list[Selection]
    known: bool

    def returns(self, index: int) -> tuple[FloatArray, FloatArray]:
        """Return the true and the proxy returns of the policies of a quantile, each (seeds, episodes)."""
        true = np.stack([of_seed.true_returns[index] for of_seed in self.results])
        return true, np.stack([of_seed.proxy_returns[index] for of_seed in self.results])


class Run:
    """The only argument of a stage's functions `check(run)`, `forget(run)` and `run(run)`.

    Everything below is computed when it is first used. The demonstrations, and what follows from them, stay;
    `refresh` drops what was read of finished work.

    A policy is finished if it can act and its file notes the requested recipe; test results, if they note it too and
    are of this very policy. A missing or unusable file is made again. A whole file with another recipe is not replaced
    but raises an `OtherSettingsError`; one that this user may not read, an `UnreadableError`.

    Args:
        settings: of the run, already validated.
        manifest: records finished work; stages that are called from Python record none.
    """

    def __init__(self, settings: Settings, manifest: Manifest = SILENT) -> None:
        self.settings = settings
        self.manifest = manifest
        self._further_selections: dict[float, Selection] = {}

    @cached_property
    def demonstrations(self) -> Demonstrations:
        """The data set that the settings name."""
        settings = self.settings
        demonstrations = self._read()
        for note in demonstrations.notes:
            print(f"{settings.layout.found_data}: {one_line(note)}", file=sys.stderr)
        return demonstrations

    def _read(self) -> Demonstrations:
        settings, recorded = self.settings, self.settings.recorded
        if recorded is not None:
            how = settings.layout.final_observation
            return Demonstrations.of(recorded.episodes, settings.environment, settings.options, how, recorded.notes)
        try:
            return Demonstrations.find(settings.layout, settings.environment, settings.options)
        except WhichRewardError as error:
            raise UserError(f"{error}; {TELL_REWARD}") from None
        except WrongEnvironmentError as error:
            data = "--dataset_name" if settings.layout.file is None else "--data"
            raise WrongEnvironmentError(f"{error}; --env_name and {data} must go together") from None
        except MissingError as error:
            ways = ways_to_demonstrations(settings.environment, settings.layout)
            raise MissingError(f"{error}; {ways}") from None

    @cached_property
    def selections(self) -> dict[float, Selection]:
        """The episodes that each quantile keeps, without observations that the file leaves out."""
        settings = self.settings
        return settings.selecting.choose_all(self.demonstrations, settings.quantiles, observations=False)

    def selection(self, quantile: float) -> Selection:
        """Return the selection of any quantile, also of one that is not among the settings."""
        if quantile in self.selections:
            return self.selections[quantile]
        if quantile not in self._further_selections:
            self._further_selections[quantile] = self.settings.selecting.choose(self.demonstrations, quantile)
        return self._further_selections[quantile]

    def observed_selections(self, quantiles: Iterable[float]) -> dict[float, Selection]:
        """Return the selections of some quantiles, with all observations."""
        if self.demonstrations.episodes.observations.shape[2:] != WITHOUT_OBSERVATIONS:
            return {quantile: self.selections[quantile] for quantile in quantiles}
        return self.settings.selecting.choose_all(self.demonstrations, quantiles)

    @cached_property
    def training(self) -> AnyTraining:
        """The hyper-parameters of the policies, under the budget."""
        return self.settings.selecting.training(self.settings.training, self.demonstrations)

    @property
    def jobs(self) -> list[PolicyJob]:
        """The job of each policy, quantile after quantile."""
        return [(quantile, seed) for quantile in self.settings.quantiles for seed in self.settings.seeds]

    def policy_recipe(self, selection: Selection, seed: int) -> Recipe:
        """Return the requested recipe of a policy; see `quantilizers.policies.keras_files.recipe_of`."""
        settings = self.settings
        entries = {
            "treatment": asdict(settings.selecting),
            "family": family_name(settings.environment),
            "training": asdict(self.training),
            "environment": settings.environment.name,
            "definition": settings.definition,
            "ranking": settings.environment.proxy_options(settings.options),
            "quantile": selection.quantile,
            "seed": seed,
            "data": selection.data,
            "weights": weights_hash(selection),
            "scaling": scaling_of(settings.environment),
            "code": self.training.code,
        }
        other_data = f"on other demonstrations than {self._selected(selection)}"
        return Recipe(entries, {"data": other_data, "weights": other_data, **SENTENCES})

    def policy_difference(self, found: Recipe, selection: Selection, seed: int) -> str:
        """Describe how a policy's recipe differs from `policy_recipe`; its file may note further entries."""
        wanted = self.policy_recipe(selection, seed)
        return found.difference(wanted, only=wanted.entries)

    def results_recipe(self, quantiles: Iterable[float], settings: Settings | None = None) -> Recipe:
        """Return the requested recipe of test results of the policies of some quantiles; see `SeedResults.recipe`.

        Args:
            quantiles: of the policies.
            settings: the conditions of the test; None takes the run's.
        """
        settings = settings or self.settings
        selections = [self.selection(quantile) for quantile in quantiles]
        entries = {
            "environment": settings.environment.name,
            **settings.conditions(),
            "training": asdict(self.training),
            "data": {str(selection.quantile): selection.data for selection in selections},
        }
        sentences = {
            str(one.quantile): f"with policies that imitate other demonstrations than {self._selected(one)}"
            for one in selections
        }
        return Recipe(entries, {**sentences, **SENTENCES})

    def _selected(self, selection: Selection) -> str:
        return f"q = {selection.quantile:g} keeps of data set {self.settings.layout.dataset} as it is now"

    @cached_property
    def trained(self) -> dict[PolicyJob, dict[str, Any]]:
        """The policies that are finished, and the notes in their files."""
        found = {}
        for selection in self.selections.values():
            for seed in self.settings.seeds:
                path = self.settings.layout.model(selection.quantile, seed)
                try:
                    recipe = recipe_of(path)
                    difference = self.policy_difference(recipe, selection, seed)
                    if difference:
                        content_hash(path)
                    else:
                        load_policy(path, self.settings.environment)
                except UnreadableError:
                    raise
                except UserError:  # missing or unusable
                    continue
                refuse_other(path, "trained", difference)
                found[selection.quantile, seed] = dict(recipe.entries)
        return found

    @cached_property
    def measured(self) -> dict[int, SeedResults]:
        """The test results that exist, by seed, of whatever quantiles."""
        found = {seed: self.measured_of(seed) for seed in self.settings.seeds}
        return {seed: results for seed, results in found.items() if results is not None}

    def measured_of(self, seed: int) -> SeedResults | None:
        """Return the test results of a seed; None if they are missing, damaged or do not note the policies."""
        path = self.settings.layout.rewards(seed)
        try:
            found = load_results(path)
            # Every quantile counts: results of other data may not be joined with those of this run.
            quantiles = [] if found.provenance is None else found.quantiles.tolist()
            difference = found.difference(self.results_recipe(quantiles))
        except UnreadableError:
            raise
        except UserError:
            return None
        only_shorter = found.lengths.shape[1] != self.settings.number_trajectories
        refuse_other(path, "tested", difference, self._way_to_see(seed) if only_shorter else "")
        return None if found.provenance is None else found

    def _way_to_see(self, seed: int) -> str:
        """Return the command that shows a policy and measures nothing, for a refusal to test it otherwise."""
        layout, environment = self.settings.layout, self.settings.environment
        words = [*call_of("python play/replay.py", "quantilizer-replay").split()]
        words += ["--env_id", environment.address or environment.name, "--dataset_name", layout.dataset]
        words += ["--quantile", f"{self.settings.quantiles[-1]:g}", "--seed", str(seed)]
        if layout.path:
            words += ["--path", layout.path]
        return f"; to see a policy, run: {shlex.join(words)}"

    @cached_property
    def tested(self) -> Tested:
        """The test results of all policies, under whatever `--max_steps`, options and number of episodes.

        Raises:
            UserError: some are missing or have another recipe; the message names the command that makes them.
        """
        settings = self.settings
        paths = [settings.layout.rewards(seed) for seed in settings.seeds]
        try:
            results = load_all_results(paths, settings.environment.name, settings.quantiles)
        except MissingError as error:
            raise MissingError(f"{error}; run: {settings.command_for(*self._stages_to_test())}") from None
        except MixedResultsError as error:
            again = settings.command_for(*self._stages_to_test(), force=True)
            raise MixedResultsError(f"{error}; run: {again}") from None
        for path, of_seed in zip(paths, results, strict=True):
            as_tested = replace(
                settings,
                max_steps=of_seed.max_steps,
                number_trajectories=of_seed.lengths.shape[1],
                options=of_seed.options,
            )
            difference = of_seed.difference(self.results_recipe(self.selections, as_tested))
            if difference:
                again = as_tested.command_for(*self._stages_to_test(), force=True)
                raise MixedResultsError(f"{path} was tested {difference}; run: {again}")
        known = all(of_seed.provenance is not None for of_seed in results)
        demonstrations, selections = self.demonstrations, list(self.selections.values())
        options = self._true_options_of(results)
        if options != demonstrations.options:
            demonstrations = replace(demonstrations, options=options)
            selections = [
                replace(one, demonstrations=replace(one.demonstrations, options=options)) for one in selections
            ]
        return Tested(results, demonstrations, selections, known)

    def refuse_other_conditions(self) -> None:
        """Refuse flags that say otherwise than what is shown was tested."""
        settings = self.settings
        asked = {
            "number_trajectories": settings.number_trajectories,
            "max_steps": settings.max_steps,
            "env_option": dict(settings.options),
        }
        for seed, of_seed in zip(settings.seeds, self.tested.results, strict=True):
            tested = {
                "number_trajectories": of_seed.lengths.shape[1],
                "max_steps": of_seed.max_steps,
                "env_option": {**settings.environment.options, **of_seed.options},
            }
            only = [flag for flag in asked if flag in settings.given]
            if difference := Recipe(tested).difference(Recipe(asked), only):
                again = settings.command_for(*self._stages_to_test(), force=True)
                path = settings.layout.rewards(seed)
                raise MixedResultsError(
                    f"{path} was tested {difference}; leave the flag out to see that, or test again: {again}"
                )

    def _true_options_of(self, results: Sequence[SeedResults]) -> Mapping[str, Any]:
        """Return the options of the demonstrations, with those of the tests that the true reward alone takes."""
        environment, options = self.settings.environment, self.demonstrations.options
        ranking = environment.proxy_options()
        tested = environment.true_options(results[0].options)
        changed = {name: value for name, value in tested.items() if name not in ranking}
        return {**options, **changed} if any(options.get(name) != value for name, value in changed.items()) else options

    def _stages_to_test(self) -> list[str]:
        """Return the stages that make test results: training, too, unless all policies are finished."""
        try:
            trained = len(self.trained) == len(self.jobs)
        except UserError:
            trained = False
        return ["test"] if trained else ["train", "test"]

    def executor(
        self, seconds: float = 0.0, *, fresh: bool = False, threads: int | None = None
    ) -> AbstractContextManager[Executor]:
        """Return the executor of `--workers` or `--scheduler`, or without either this process or unasked processes.

        Args:
            seconds: how long the jobs take one processor; 0 if they keep several cores at work by themselves.
            fresh: whether each job of worker processes runs in a new one.
            threads: of this process, if it runs the jobs; None is one for each core if the jobs take `seconds`.
        """
        # Workers cannot load an environment that was defined in memory.
        worth = seconds if self.settings.environment.address else 0.0
        if threads is None:
            threads = available_cores() if seconds else 1
        workers, scheduler = self.settings.workers, self.settings.scheduler
        return executor_for(workers, scheduler, seconds=worth, fresh=fresh, threads=threads)

    def under(self, settings: Settings) -> Run:
        """Return a run of other settings that shares demonstrations and selections, on which they must agree."""
        other = copy(self)
        other.settings = settings
        other.refresh()
        return other

    def refresh(self) -> None:
        """Drop what was read of finished work, after this run or another process has written or deleted files."""
        for product in ("trained", "measured", "tested"):
            self.__dict__.pop(product, None)
