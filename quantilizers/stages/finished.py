"""What the stages `train` and `test` have finished already, and what of other settings stands in their way.

A policy is finished where its file is whole and says that it was made of the same data, treatment, hyper-parameters and
code; a measurement, where its file says that it is of this very policy under the same conditions. What was made with
others is never replaced unasked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.errors import UserError
from quantilizers.evaluation.cloning import kept_episodes
from quantilizers.evaluation.results import Provenance, SeedResults, load_results
from quantilizers.policies.hyper_parameters import AnyTraining, training_difference
from quantilizers.policies.keras_files import content_hash, described, training_in, treatment_in
from quantilizers.policies.policy import family_name
from quantilizers.policies.treatment import Selection
from quantilizers.stages.settings import Settings

#: One policy: its quantile and its seed.
Unit = tuple[float, int]
#: Larger files are no records.
MAX_BYTES = 2**28
#: The most that a message says of a value in a file.
MAX_LETTERS = 200
WAYS_OUT = "keep it and give this run another --path, or replace it with --force"


class OtherSettingsError(UserError):
    """What was made with other settings, or of other data, stands where a stage would write."""


def units_of(settings: Settings) -> list[Unit]:
    """Return the policies of a run, quantile after quantile."""
    return [(quantile, seed) for quantile in settings.quantiles for seed in settings.seeds]


def trained_policies(
    settings: Settings, demonstrations: Demonstrations, kept: Sequence[Selection]
) -> dict[Unit, dict[str, Any]]:
    """Return the policies that are finished, and what their files say; the others are to be trained.

    Args:
        settings: of the run.
        demonstrations: all of them.
        kept: the selection of each quantile.

    Raises:
        OtherSettingsError: a policy of that name was made otherwise.
    """
    training = settings.treatment.training(settings.training, demonstrations)
    found = {}
    for of_quantile in kept:
        for seed in settings.seeds:
            path = settings.layout.model(of_quantile.quantile, seed)
            try:
                note = described(path)
                different = policy_difference(settings, training, of_quantile, seed)
                content_hash(path)
            except UserError:
                # It is missing, or damaged: training writes it anew.
                continue
            if different:
                raise OtherSettingsError(f"{path} was trained {different}; {WAYS_OUT}")
            found[of_quantile.quantile, seed] = note
    return found


def policy_difference(settings: Settings, training: AnyTraining, kept: Selection, seed: int) -> str:
    """Say how a policy's file was made otherwise than it is wanted, in words that go on from "was trained".

    Args:
        settings: of the run.
        training: the hyper-parameters under the treatment's budget.
        kept: what it is to imitate.
        seed: of its training.

    Returns:
        The first difference; empty where there is none.

    Raises:
        MissingError: there is no such file.
        UserError: it is damaged.
    """
    path = settings.layout.model(kept.quantile, seed)
    note = described(path)
    difference = treatment_in(path, note).difference(settings.treatment)
    difference = difference or training_difference(training_in(path, note), training)
    if difference:
        return f"with {difference}"
    wanted = {"environment": settings.environment.name, "quantile": kept.quantile, "seed": seed}
    for name, value in wanted.items():
        if note[name] != value:
            return f"for {name} {note[name]}, not {value}"
    if note["data"] != kept.data or note.get("weights", weights_hash(kept)) != weights_hash(kept):
        return f"on other demonstrations than {_kept_in_words(settings, kept.quantile)}"
    # The files of the first versions do not say.
    if note.get("code", 1) != training.code:
        return f"by version {note['code']} of the training code, not {training.code}"
    return ""


def measured_results(settings: Settings, demonstrations: Demonstrations, seed: int) -> SeedResults | None:
    """Return what was measured of a seed under the settings' conditions, of whatever quantiles.

    Args:
        settings: of the run.
        demonstrations: all of them.
        seed: of the policies.

    Returns:
        None where there is no file, or a damaged one, or one that does not say which policies were measured.

    Raises:
        OtherSettingsError: it was measured under other conditions, or of policies that were made otherwise.
    """
    path = settings.layout.rewards(seed)
    try:
        found = load_results(path)
        different = results_difference(settings, demonstrations, found)
    except UserError:
        # It is missing, or damaged: testing writes it anew.
        return None
    if different:
        raise OtherSettingsError(f"{path} was tested {different}; {WAYS_OUT}")
    return None if found.provenance is None else found


def results_difference(settings: Settings, demonstrations: Demonstrations, found: SeedResults) -> str:
    """Say how results were measured otherwise than they are wanted, in words that go on from "was tested".

    Returns:
        The first difference; empty where there is none.
    """
    if found.environment != settings.environment.name:
        return f"on {found.environment}, not {settings.environment.name}"
    wanted = {
        "max_steps": settings.max_steps,
        "number_trajectories": settings.number_trajectories,
        **{f"options/{name}": value for name, value in settings.options.items()},
        **asdict(settings.treatment.training(settings.training, demonstrations)),
        **asdict(settings.treatment),
        "family": family_name(settings.environment),
        "acting": settings.acting,
    }
    conditions = found.conditions
    there = {**conditions, **{f"options/{name}": value for name, value in conditions["options"].items()}}
    for name, value in wanted.items():
        if name in there and _as_in_file(there[name]) != _as_in_file(value):
            return f"with {name.removeprefix('options/')} {_words(there[name])}, not {_words(value)}"
    if found.provenance is not None:
        data = dict(zip(found.quantiles.tolist(), found.provenance.data, strict=True))
        for kept in kept_episodes(demonstrations, data, settings.treatment):
            if kept.data != data[kept.quantile]:
                kept_now = _kept_in_words(settings, kept.quantile)
                return f"with policies that imitate other demonstrations than {kept_now}"
    return ""


def measured_units(
    settings: Settings, results: Mapping[int, SeedResults], provenances: Mapping[int, Provenance]
) -> list[Unit]:
    """Return the policies that were measured as they now are.

    Args:
        settings: of the run.
        results: by seed, of `measured_results`.
        provenances: by seed, of the policies of the settings' quantiles as they now are.
    """
    found = []
    for seed, of_seed in results.items():
        known = () if of_seed.provenance is None else of_seed.provenance.policies
        hashes = dict(zip(of_seed.quantiles.tolist(), known, strict=False))
        for quantile, policy in zip(settings.quantiles, provenances[seed].policies, strict=True):
            if hashes.get(quantile) == policy:
                found.append((quantile, seed))
    return found


def record_in(path: Path) -> Any:
    """Return what a stage wrote in JSON, of which nothing was looked at.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, or longer than records are.
        RecursionError: its brackets are nested too deeply.
    """
    with path.open("rb") as file:
        return json.loads(file.read(MAX_BYTES))


def record_difference(path: Path, settings: Settings, more: Mapping[str, Any] | None = None) -> str:
    """Say how what a stage wrote in JSON was made otherwise than it is wanted, in words that go on from "was made".

    More seeds than were there are no difference.

    Args:
        path: the file, which begins with a `Settings.record`.
        settings: of the run.
        more: settings that the record has beside those of all stages.

    Returns:
        The first difference; empty where there is none, or no file that says how it was made.
    """
    try:
        there = record_in(path)
        found, seeds = there["settings"], there["settings"].get("seeds", [])
        wanted = _as_in_file(settings.record())
        if there["data_sha256"] != wanted["data_sha256"]:
            return f"of other demonstrations than data set {settings.layout.dataset} holds now"
        wanted["settings"] |= _as_in_file(more or {})
        for group in ("training", "treatment", "options"):
            found, wanted["settings"] = ({**of, **of[group]} for of in (found, wanted["settings"]))
        for name, value in wanted["settings"].items():
            if name in found and found[name] != value and not isinstance(value, dict):
                return _other_setting(name, found[name], value)
        missing = [seed for seed in seeds if seed not in settings.seeds]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # It is missing, or damaged: the stage writes it anew.
        return ""
    return f"with seed {_words(missing[0])}, too, which is not asked for" if missing else ""


def weights_hash(kept: Selection) -> str:
    """Identify the weights of episodes; empty where all weigh alike."""
    alike = bool((kept.weights == kept.weights[0]).all())
    return "" if alike else hashlib.sha256(np.ascontiguousarray(kept.weights).data).hexdigest()


def _kept_in_words(settings: Settings, quantile: float) -> str:
    return f"q = {quantile:g} keeps of data set {settings.layout.dataset} as it is now"


def _other_setting(name: str, found: Any, wanted: Any) -> str:
    """Say how a setting differs; None is a flag that was not given."""
    if wanted is None:
        return f"with --{name} {_words(found)}, and this run is without --{name}"
    if found is None:
        return f"without --{name}, and this run is with --{name} {_words(wanted)}"
    return f"with {name} {_words(found)}, not {_words(wanted)}"


def _as_in_file(value: Any) -> Any:
    """Return a value as it comes back from a file, which has lists where Python may have tuples."""
    return json.loads(json.dumps(value))


def _words(value: Any) -> str:
    said = " ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    # What a file says may be anything.
    return said if len(said) <= MAX_LETTERS else f"{said[:MAX_LETTERS]}…"
