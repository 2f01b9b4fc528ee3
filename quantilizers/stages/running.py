"""The stages, and how a run does them: check all, lock, forget with `--force`, then one after the other."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from quantilizers.errors import UserError, did_you_mean
from quantilizers.programs import call_of

if TYPE_CHECKING:
    from quantilizers.stages.run import Run
    from quantilizers.stages.settings import Settings

PROGRAM = call_of("quantilizer.py", "quantilizer")


@dataclass(frozen=True)
class Stage:
    """One of the things to `--do`.

    Attributes:
        module: name of its module here, whose `run(run)` does it. If it has `check(run)`, that refuses before any work
            what cannot be done; `forget(run)` deletes what it made, for `--force`.
        about: what it does, in a line of help.
    """

    module: str
    about: str

    def load(self) -> ModuleType:
        """Import its module."""
        return importlib.import_module(f"quantilizers.stages.{self.module}")


#: By name, in the order in which they run.
STAGES = {
    "inspect": Stage("inspection", "show what is in the demonstrations and what each quantile keeps"),
    "train": Stage("training", "imitate the top q of the demonstrations, for each q and seed"),
    "test": Stage("testing", "let the policies act, and measure true and proxy returns"),
    "optimize": Stage("optimising", "train an agent on the proxy reward, to compare with"),
    "efforts": Stage("efforts", "measure a planner from little effort to much"),
    "plot": Stage("plotting", "draw what was tested: the paper's figure and others"),
    "study": Stage("studying", "compare the top with random and bottom episodes, with verdicts"),
    "imitators": Stage("comparing_imitators", "choose hyper-parameters by likelihood of held-out players"),
    "analyze": Stage("analysing", "look at data and policies in one figure per --analysis"),
    "report": Stage("reporting", "write one page of verdicts, tables, figures and films"),
}
DEFAULT_STAGES = ("train", "test", "plot")
#: Other spellings of stages.
SPELLINGS = {"optimise": "optimize", "analyse": "analyze"}
#: The stages that write the same files, and therefore wait for each other, by what the files are of.
_WRITERS = {"dataset": ("train", "test", "study", "imitators"), "optimiser": ("optimize", "efforts")}


def stages_named(names: Sequence[str]) -> list[str]:
    """Return the stages that `--do` names, in American spelling.

    Raises:
        UserError: there is no stage of such a name.
    """
    stages = [SPELLINGS.get(name, name) for name in names]
    for stage in stages:
        if stage not in STAGES:
            hint = did_you_mean(stage, STAGES) or ";"
            raise UserError(f"unknown stage {stage!r}{hint} --do takes {', '.join(STAGES)}")
    return stages


def do_stages(settings: Settings, stages: Sequence[str], words: list[str]) -> None:
    """Check all stages, then do them in their order, alone among processes that would write the same files.

    Args:
        settings: of the run.
        stages: their names.
        words: of the command line. `--force` is removed from them once old results are deleted, so that the same
            command goes on after an interruption.

    Raises:
        UserError: something cannot be done; before any work, unless it shows only then.
    """
    from quantilizers.stages.manifest import Manifest
    from quantilizers.stages.run import Run

    run = Run(settings)
    _check(run, stages)
    with _alone(settings, stages) as waited:
        if waited:
            run.refresh()
            _check(run, stages)
        run.manifest = Manifest(settings.layout.runs, {**settings.record(), **settings.asked(), "stages": [*stages]})
        with run.manifest.kept():
            modules = {name: stage.load() for name, stage in STAGES.items() if name in stages}
            if settings.force:
                for module in modules.values():
                    if hasattr(module, "forget"):
                        module.forget(run)
                run.refresh()
                words[:] = [word for word in words if word != "--force"]
            for name, module in modules.items():
                with run.manifest.stage(name):
                    module.run(run)
                run.refresh()


def _check(run: Run, stages: Collection[str]) -> None:
    """Refuse, before an hour of training, what cannot be done in the end or would replace other results."""
    if "test" in stages and "train" not in stages:
        STAGES["test"].load().check_trained(run)
    if {"plot", "report"} & {*stages} and "test" not in stages:
        _ = run.tested
    for module in [stage.load() for name, stage in STAGES.items() if name in stages]:
        if hasattr(module, "check"):
            module.check(run)


def _alone(settings: Settings, stages: Collection[str]) -> AbstractContextManager[bool]:
    """Lock the files that the stages write while the block runs; it gives whether another process held them."""
    from quantilizers.files import holding

    names = {"dataset": settings.layout.dataset, "optimiser": "optimiser"}
    locks = [settings.layout.lock(names[files]) for files, writers in _WRITERS.items() if {*writers} & {*stages}]

    def waiting_for(holder: str) -> None:
        name = PROGRAM.rpartition("/")[2]
        print(
            f"{name}: waiting for {holder}, which writes the same files; another --path need not wait", file=sys.stderr
        )

    return holding(locks, waiting_for)
