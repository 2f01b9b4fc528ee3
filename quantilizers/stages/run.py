"""One run of the command line: its settings, and what its stages share, read or computed once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from quantilizers.datasets.demonstrations import Demonstrations, WrongEnvironmentError
from quantilizers.demonstrations.episodes import WITHOUT_OBSERVATIONS
from quantilizers.errors import MissingError
from quantilizers.evaluation.results import SeedResults
from quantilizers.policies.hyper_parameters import AnyTraining
from quantilizers.policies.treatment import Selection
from quantilizers.programs import call_of
from quantilizers.stages.finished import Job, jobs_of, tested_results, trained_policies
from quantilizers.stages.manifest import SILENT, Manifest
from quantilizers.stages.settings import Settings


class Run:
    """What a stage takes: `check(run)`, `forget(run)` and `run(run)` have no other argument.

    Everything below is computed when it is first used. The demonstrations, and what follows from them, stay;
    `refresh` drops what was read of finished work.

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
        """The data set that the settings name.

        Raises:
            UserError: it is missing or unusable; the message says what to do.
        """
        try:
            return Demonstrations.find(self.settings.layout, self.settings.environment)
        except WrongEnvironmentError as error:
            raise WrongEnvironmentError(f"{error}; --env_name and --dataset_name must go together") from None
        except MissingError as error:
            record = call_of("python play/gather_data.py", "quantilizer-record")
            fetch = call_of("sh scripts/load_data.sh", "quantilizer-data")
            raise MissingError(f"{error}; record one with {record}, or fetch people's play with {fetch}") from None

    @cached_property
    def selections(self) -> dict[float, Selection]:
        """The episodes that each quantile keeps, without observations that the file leaves out."""
        settings = self.settings
        return settings.treatment.choose_all(self.demonstrations, settings.quantiles, observations=False)

    def selection(self, quantile: float) -> Selection:
        """Return the selection of any quantile, also of one that is not among the settings."""
        if quantile in self.selections:
            return self.selections[quantile]
        if quantile not in self._further_selections:
            self._further_selections[quantile] = self.settings.treatment.choose(self.demonstrations, quantile)
        return self._further_selections[quantile]

    def observed_selections(self, quantiles: Iterable[float]) -> dict[float, Selection]:
        """Return the selections of some quantiles, with all observations."""
        if self.demonstrations.episodes.observations.shape[2:] != WITHOUT_OBSERVATIONS:
            return {quantile: self.selections[quantile] for quantile in quantiles}
        return self.settings.treatment.choose_all(self.demonstrations, quantiles)

    @cached_property
    def training(self) -> AnyTraining:
        """The hyper-parameters of the policies, under the treatment's budget."""
        return self.settings.treatment.training(self.settings.training, self.demonstrations)

    @property
    def jobs(self) -> list[Job]:
        """Quantile and seed of each policy, quantile after quantile."""
        return jobs_of(self.settings)

    @cached_property
    def trained(self) -> dict[Job, dict[str, Any]]:
        """The policies that are finished, and the notes in their files.

        Raises:
            OtherSettingsError: a policy of that name was trained with other settings or data.
        """
        return trained_policies(self.settings, self.training, self.selections.values())

    @cached_property
    def measured(self) -> dict[int, SeedResults]:
        """The test results that exist, by seed, of whatever quantiles.

        Raises:
            OtherSettingsError: a seed was tested under other conditions, or with other policies.
        """
        found = {
            seed: tested_results(self.settings, self.training, self.selection, seed) for seed in self.settings.seeds
        }
        return {seed: results for seed, results in found.items() if results is not None}

    def refresh(self) -> None:
        """Drop what was read of finished work, after this run or another process has written or deleted files."""
        for product in ("trained", "measured"):
            self.__dict__.pop(product, None)
