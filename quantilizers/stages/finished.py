"""The JSON files of finished stages, and refusals to replace files that were made with other settings or data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from quantilizers.envs.identity import SENTENCES
from quantilizers.errors import UnreadableError, UserError, shown
from quantilizers.files import atomic_write
from quantilizers.gates.json_files import read_json
from quantilizers.policies.selection_settings import Selection
from quantilizers.recipe import Recipe
from quantilizers.stages.settings import Settings
from quantilizers.versions import versions

WAYS_OUT = "keep it and give this run another --path, or replace it with --force"


class OtherSettingsError(UserError):
    """A product of other settings or other data stands where a stage would write."""


def refuse_other(path: Path, verb: str, difference: str, more: str = "") -> None:
    """Raise an `OtherSettingsError` if there is a difference.

    Args:
        path: of the file.
        verb: how it was made, such as "trained".
        difference: of `Recipe.difference`.
        more: a further way out.
    """
    if difference:
        raise OtherSettingsError(f"{path} was {verb} {difference}; {WAYS_OUT}{more}")


def refuse_loss(path: Path, quantiles: Iterable[float], seeds: Iterable[int], settings: Settings) -> None:
    """Raise an `OtherSettingsError` if `--force` would delete what other quantiles or seeds have measured.

    Args:
        path: the file that would be deleted.
        quantiles: those in the file.
        seeds: those in the file.
        settings: of the run.
    """
    lost = [f"q = {quantile:g}" for quantile in quantiles if quantile not in settings.quantiles]
    lost += [f"seed {seed}" for seed in seeds if seed not in settings.seeds]
    if lost:
        raise OtherSettingsError(
            f"--force would delete {path}, which also has {', '.join(lost)}; give this run another --path, or name "
            "all of them by --quantiles, --seed_min and --seed_nb"
        )


def delete(what: str, paths: Iterable[Path]) -> None:
    """Name the files among `paths` that exist, in one line, and delete them."""
    there = [path for path in paths if path.exists()]
    if there:
        names = ", ".join(path.name for path in there[:3]) + (f" and {len(there) - 3} more" if len(there) > 3 else "")
        print(f"--force deletes {what} in {there[0].parent}: {names}")
    for path in there:
        path.unlink(missing_ok=True)


def record_difference(
    path: Path, settings: Settings, more: Mapping[str, Any] | None = None, sentences: Mapping[str, str] | None = None
) -> str:
    """Describe how a stage's JSON file differs from the requested one, completing "was made".

    Args:
        path: the file, which contains a `Settings.record`; if it is missing or damaged, nothing differs.
        settings: of the run. It may have further seeds.
        more: further settings in the record.
        sentences: see `Recipe`.
    """
    record = settings.record()
    wanted = {"data_sha256": record["data_sha256"], **record["settings"], **(more or {})}
    other_data = {"data_sha256": f"of other demonstrations than data set {settings.layout.dataset} holds now"}
    try:
        found = read_json(path)
        entries = {"data_sha256": found["data_sha256"], **found["settings"]}
        asked = Recipe(wanted, {**SENTENCES, **other_data, **(sentences or {})})
        difference = Recipe(entries).difference(asked, only=[*wanted, "scaling"])
        missing = [seed for seed in entries.get("seeds", []) if seed not in settings.seeds]
    except UnreadableError:
        raise
    except (UserError, ValueError, LookupError, TypeError):
        return ""
    if difference or not missing:
        return difference
    return f"with seed {shown(missing[0])}, too, which is not asked for"


def write_record(path: Path, record: Mapping[str, Any], numbers: Mapping[str, Any]) -> None:
    """Write a `Settings.record`, the versions and a stage's numbers as JSON, and print where."""
    save_record(path, record, numbers)
    print(f"wrote {path}")


def save_record(path: Path, record: Mapping[str, Any], numbers: Mapping[str, Any]) -> None:
    """Write a `Settings.record`, the versions and a stage's numbers as JSON."""
    with atomic_write(path) as temporary:
        content = {**record, "versions": versions(), **numbers}
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def weights_hash(selection: Selection) -> str:
    """Identify the weights of episodes; empty if all are equal."""
    alike = bool((selection.weights == selection.weights[0]).all())
    return "" if alike else hashlib.sha256(np.ascontiguousarray(selection.weights).data).hexdigest()
