"""Which products of a run exist already, made by the recipe that the run asks for.

A policy is finished if its file is whole and notes the requested recipe; test results, if they note it too and are of
this very policy. A missing or damaged file is made again. A whole file with another recipe is never replaced unasked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from quantilizers.errors import UserError
from quantilizers.evaluation.results import Provenance, SeedResults, load_results
from quantilizers.files import load_json
from quantilizers.policies.hyper_parameters import AnyTraining
from quantilizers.policies.keras_files import content_hash, recipe_of
from quantilizers.policies.policy import family_name
from quantilizers.policies.treatment import Selection
from quantilizers.recipe import Recipe, shown
from quantilizers.stages.settings import Settings

#: One policy to train and to test: its quantile and its seed.
Job = tuple[float, int]
WAYS_OUT = "keep it and give this run another --path, or replace it with --force"


class OtherSettingsError(UserError):
    """A product of other settings or other data stands where a stage would write."""


def refuse_other(path: Path, verb: str, difference: str) -> None:
    """Refuse to replace a file that was made by another recipe.

    Args:
        path: of the file.
        verb: what was done, such as "trained".
        difference: of `Recipe.difference`.

    Raises:
        OtherSettingsError: there is a difference.
    """
    if difference:
        raise OtherSettingsError(f"{path} was {verb} {difference}; {WAYS_OUT}")


def jobs_of(settings: Settings) -> list[Job]:
    """Return the jobs of a run, quantile after quantile."""
    return [(quantile, seed) for quantile in settings.quantiles for seed in settings.seeds]


def trained_policies(
    settings: Settings, training: AnyTraining, selections: Iterable[Selection]
) -> dict[Job, dict[str, Any]]:
    """Return the finished policies, and the notes in their files.

    Args:
        settings: of the run.
        training: hyper-parameters, under the treatment's budget.
        selections: one for each quantile.

    Raises:
        OtherSettingsError: a policy of that name has another recipe.
    """
    found = {}
    for selection in selections:
        for seed in settings.seeds:
            path = settings.layout.model(selection.quantile, seed)
            try:
                note = dict(recipe_of(path).entries)
                difference = policy_difference(settings, training, selection, seed)
                content_hash(path)
            except UserError:  # missing or damaged
                continue
            refuse_other(path, "trained", difference)
            found[selection.quantile, seed] = note
    return found


def policy_difference(settings: Settings, training: AnyTraining, selection: Selection, seed: int) -> str:
    """Describe how a policy's file differs from the requested one, in words that continue "was trained".

    Raises:
        MissingError: there is no such file.
        UserError: it is damaged.
    """
    found = recipe_of(settings.layout.model(selection.quantile, seed))
    other_data = f"on other demonstrations than {_selected(settings, selection.quantile)}"
    return found.difference(
        Recipe(
            {
                "treatment": asdict(settings.treatment),
                "family": family_name(settings.environment),
                "training": asdict(training),
                "environment": settings.environment.name,
                "quantile": selection.quantile,
                "seed": seed,
                "data": selection.data,
                "weights": weights_hash(selection),
                "code": training.code,
            },
            {"data": other_data, "weights": other_data},
        )
    )


def results_recipe(settings: Settings, training: AnyTraining, selections: Iterable[Selection]) -> Recipe:
    """Return the requested recipe of test results of the policies of some quantiles; see `SeedResults.recipe`."""
    selections = list(selections)
    entries = {
        "environment": settings.environment.name,
        "max_steps": settings.max_steps,
        "number_trajectories": settings.number_trajectories,
        "options": settings.options,
        "treatment": asdict(settings.treatment),
        "training": asdict(training),
        "family": family_name(settings.environment),
        "acting": settings.acting,
        "data": {str(selection.quantile): selection.data for selection in selections},
    }
    others = {
        str(selection.quantile): "with policies that imitate other demonstrations than "
        + _selected(settings, selection.quantile)
        for selection in selections
    }
    return Recipe(entries, others)


def tested_results(
    settings: Settings, training: AnyTraining, select: Callable[[float], Selection], seed: int
) -> SeedResults | None:
    """Return the test results of a seed under the settings' conditions, of whatever quantiles.

    Args:
        settings: of the run.
        training: hyper-parameters, under the treatment's budget.
        select: returns the selection of a quantile.
        seed: of the policies.

    Returns:
        None if the file is missing or damaged, or does not note which policies were tested.

    Raises:
        OtherSettingsError: the results have another recipe.
    """
    path = settings.layout.rewards(seed)
    try:
        found = load_results(path)
        # Every quantile counts: results of other data may not be joined with those of this run.
        quantiles = [] if found.provenance is None else found.quantiles.tolist()
        difference = found.recipe.difference(results_recipe(settings, training, map(select, quantiles)))
    except UserError:
        return None
    refuse_other(path, "tested", difference)
    return None if found.provenance is None else found


def tested_jobs(
    results: Mapping[int, SeedResults], quantiles: Sequence[float], provenances: Mapping[int, Provenance]
) -> list[Job]:
    """Return the jobs whose test results are of the policies as they are now.

    Args:
        results: by seed, of `tested_results`.
        quantiles: of the run.
        provenances: by seed, of the policies of these quantiles as they are now.
    """
    found = []
    for seed, of_seed in results.items():
        known = () if of_seed.provenance is None else of_seed.provenance.policies
        tested = dict(zip(of_seed.quantiles.tolist(), known, strict=False))
        now = zip(quantiles, provenances[seed].policies, strict=True)
        found += [(quantile, seed) for quantile, policy in now if tested.get(quantile) == policy]
    return found


def record_difference(
    path: Path, settings: Settings, more: Mapping[str, Any] | None = None, sentences: Mapping[str, str] | None = None
) -> str:
    """Describe how a stage's JSON file differs from the requested one, in words that continue "was made".

    Args:
        path: the file, which contains a `Settings.record`.
        settings: of the run. It may have further seeds.
        more: further settings in the record.
        sentences: see `Recipe`.

    Returns:
        The first difference; empty if there is none, or if the file is missing or damaged.
    """
    record = settings.record()
    wanted = {"data_sha256": record["data_sha256"], **record["settings"], **(more or {})}
    other_data = {"data_sha256": f"of other demonstrations than data set {settings.layout.dataset} holds now"}
    try:
        found = load_json(path)
        entries = {"data_sha256": found["data_sha256"], **found["settings"]}
        difference = Recipe(entries).difference(Recipe(wanted, {**other_data, **(sentences or {})}))
        missing = [seed for seed in entries.get("seeds", []) if seed not in settings.seeds]
    except (OSError, ValueError, LookupError, TypeError):
        return ""
    if difference or not missing:
        return difference
    return f"with seed {shown(missing[0])}, too, which is not asked for"


def weights_hash(selection: Selection) -> str:
    """Identify the weights of episodes; empty if all are equal."""
    alike = bool((selection.weights == selection.weights[0]).all())
    return "" if alike else hashlib.sha256(np.ascontiguousarray(selection.weights).data).hexdigest()


def _selected(settings: Settings, quantile: float) -> str:
    return f"q = {quantile:g} keeps of data set {settings.layout.dataset} as it is now"
