"""What the study found of softer cuts, for the frontier, where cloned quantilizers stand beside them."""

from __future__ import annotations

import json
import math
import sys

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.figures.frontier import Agent
from quantilizers.policies.treatment import Treatment
from quantilizers.quantilize import RULES, SOFTER_RULES
from quantilizers.stages.settings import Settings
from quantilizers.stages.study_files import interval_in, reading_study


def softer_arms(settings: Settings, demonstrations: Demonstrations) -> list[Agent]:
    """Return the policies of softer cuts that the study has trained, if there is a study with any.

    They were trained for as many epochs as the quantilizers, and stand where the episodes do that they imitate, at the
    quantilizers' KL. A study of other demonstrations or settings is left out, and the line that says so names it.

    Args:
        settings: of the run.
        demonstrations: all of them.

    Raises:
        UserError: the study's file cannot be read.
    """
    path = settings.layout.study
    if not path.exists():
        return []
    with reading_study(path) as found:
        rows = [row for row in found["rows"] if row["budget"] == "epochs" and row["softer"]]
        if not rows:
            return []
        in_force = json.loads(json.dumps(settings.record()))
        theirs, ours = found["settings"], in_force["settings"]
        names = ("max_steps", "options", "training", "acting", "family")
        different = [name for name in names if theirs[name] != ours[name]]
        different += [name for name in ("weight",) if theirs["treatment"][name] != ours["treatment"][name]]
        if found["data_sha256"] != in_force["data_sha256"]:
            different.append("demonstrations")
        if different:
            print(
                f"warning: {path} is of other {' and '.join(different)}, and its softer cuts are not drawn; make it "
                f"again: {settings.command_for('study')} --methods {' '.join(RULES)}",
                file=sys.stderr,
            )
            return []
        agents = []
        for rule in SOFTER_RULES:
            treatment = Treatment(method=rule.name, match=theirs["treatment"]["match"])
            for row in rows:
                arm, quantile = row["softer"].get(rule.name), row["quantile"]
                if arm is not None and quantile in settings.quantiles:
                    pressure = math.sqrt(treatment.choose(demonstrations, quantile).divergence)
                    true, proxy = (
                        interval_in(arm[f"{kind}_return"], arm[f"{kind}_interval_95"]) for kind in ("true", "proxy")
                    )
                    agents.append(Agent(rule.cloned, true, proxy, quantile, pressure, rule.name))
        return agents
