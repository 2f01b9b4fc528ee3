"""The file of a finished study, as the report and the frontier read it; its values are checked before use."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.identity import SENTENCES
from quantilizers.errors import UserError, reason_of, shown
from quantilizers.evaluation.intervals import Interval
from quantilizers.figures.frontier import FrontierAgent
from quantilizers.gates.json_files import read_json
from quantilizers.policies.selection_settings import SelectionSettings
from quantilizers.quantilize import METHODS, SOFTER_RULES
from quantilizers.recipe import Recipe
from quantilizers.stages.settings import Settings


@contextmanager
def reading_study(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the content of a study's file; errors while it is used are reported as a `UserError` about the file.

    Raises:
        MissingError: there is none.
        UserError: it cannot be opened, or is damaged.
    """
    try:
        found = read_json(path)
        if not isinstance(found, dict):
            raise TypeError("it holds no names and values")
        yield found
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise UserError(f"{path} is no study ({reason_of(error)}); delete it, or make it again") from None


def number_in(value: Any) -> float:
    """Return a finite number of a study; raise TypeError, ValueError or OverflowError if it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{str(value)[:40]!r} is no number")
    if not math.isfinite(value):
        raise ValueError(f"{value} is not finite")
    return float(value)


def text_in(value: Any) -> str:
    """Return a string of a study that tables can show; raise TypeError or ValueError if it is none."""
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]!r} is no text")
    if value != shown(value):
        raise ValueError(f"{value[:40]!r} is no text for a table")
    return value


def interval_in(estimate: Any, bounds: Any) -> Interval:
    """Return an estimate of a study with its two bounds, each a number or None; raise as `number_in` does."""
    low, high = (math.nan if bound is None else number_in(bound) for bound in bounds)
    return Interval(number_in(estimate), low, high)


def study_difference(settings: Settings, found: Mapping[str, Any]) -> str:
    """Describe the first setting in which a study differs from a run; completes "was made …", and may be empty."""
    made = Recipe({**found["settings"], "data_sha256": found["data_sha256"]})
    wanted = {**settings.conditions(), "data_sha256": settings.data_sha256}
    # A study has its own selections, budgets and rules, and may have another number of episodes.
    only = ["max_steps", "options", "definition", "training", "acting", "family", "scaling", "treatment.weight"]
    only.append("treatment.within")
    only.append("data_sha256")
    return made.difference(Recipe(wanted, {"data_sha256": "of other demonstrations", **SENTENCES}), only)


def softer_arms(settings: Settings, demonstrations: Demonstrations) -> list[FrontierAgent]:
    """Return the policies of softer rules in the finished study, for the frontier.

    They were trained for as many epochs as the quantilizers. Their own KL is unknown; that of the episodes that they
    imitate is known. A study of other demonstrations or settings is left out with a warning.
    """
    path = settings.layout.study
    if not path.exists():
        return []
    with reading_study(path) as found:
        rows = [row for row in found["rows"] if row["budget"] == "epochs" and row["softer"]]
        if not rows:
            return []
        theirs = found["settings"]
        difference = study_difference(settings, found)
        if difference:
            print(
                f"warning: {path} was made {difference}, and its softer rules are not drawn; make it again: "
                f"{settings.command_for('study')} --methods {' '.join(METHODS)}",
                file=sys.stderr,
            )
            return []
        agents = []
        for rule in SOFTER_RULES:
            match, within = theirs["treatment"]["match"], settings.selecting.within
            selecting = SelectionSettings(method=rule.name, match=match, within=within)
            for row in rows:
                arm, quantile = row["softer"].get(rule.name), row["quantile"]
                if arm is not None and quantile in settings.quantiles:
                    pressure = math.sqrt(selecting.choose(demonstrations, quantile).divergence)
                    true, proxy = (
                        interval_in(arm[f"{kind}_return"], arm[f"{kind}_interval_95"]) for kind in ("true", "proxy")
                    )
                    agents.append(FrontierAgent(rule.cloned, true, proxy, quantile, pressure, rule.name))
        return agents
