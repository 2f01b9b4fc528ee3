"""The stages, and how a run does them: check all, lock, delete old files with `--force`, then one after the other."""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from quantilizers.choices import check_choice
from quantilizers.errors import NotInstalledError, UserError
from quantilizers.programs import call_of

if TYPE_CHECKING:
    from quantilizers.stages.run import Run
    from quantilizers.stages.settings import Settings

PROGRAM = call_of("quantilizer.py", "quantilizer")


@dataclass(frozen=True)
class Stage:
    """One of the things to `--do`.

    Attributes:
        module: name of its module here. If it has `check(run)`, that refuses impossible requests before any work;
            `forget(run)` deletes the stage's files, for `--force`.
        about: a line of help.
        function: name of the function in the module that takes the run and does the stage.
    """

    module: str
    about: str
    function: str = "run"

    def load(self) -> ModuleType:
        """Import its module."""
        return importlib.import_module(f"quantilizers.stages.{self.module}")


#: By name, in the order in which they run.
STAGES = {
    "inspect": Stage("analysing", "describe the demonstrations, and the selection of each quantile", "inspect"),
    "train": Stage("training", "imitate the top q of the demonstrations, for each q and seed"),
    "test": Stage("testing", "let the policies act, and measure true and proxy returns"),
    "optimize": Stage("optimising", "train an agent on the proxy reward, for comparison"),
    "efforts": Stage("efforts", "measure a planner at increasing effort"),
    "pressure": Stage("measuring_pressure", "measure the KL divergence of agents from imitation"),
    "plot": Stage("plotting", "draw the test results: the paper's figure and others"),
    "study": Stage("studying", "compare the top with random and bottom episodes, with verdicts"),
    "imitators": Stage("comparing_imitators", "choose hyper-parameters by likelihood of held-out players"),
    "analyze": Stage("analysing", "look at data and policies in one figure per --analysis"),
    "report": Stage("reporting", "write one page of verdicts, tables, figures and films"),
}
DEFAULT_STAGES = ("train", "test", "plot")
#: Other spellings of stages.
SPELLINGS = {"optimise": "optimize", "analyse": "analyze"}
#: The stages that write the same files, and therefore wait for each other, by the subject of the files.
_WRITERS = {"dataset": ("train", "test", "pressure", "study", "imitators"), "optimiser": ("optimize", "efforts")}


def stages_named(names: Sequence[str]) -> list[str]:
    """Return the stages that `--do` names, in American spelling."""
    stages = [SPELLINGS.get(name, name) for name in names]
    for stage in stages:
        check_choice("--do", stage, STAGES, several=True)
    return stages


def do_stages(settings: Settings, stages: Sequence[str], words: list[str], doubt: str = "") -> None:
    """Check all stages, then do them in the order of `STAGES`, while no other process writes the same files.

    Args:
        settings: of the run.
        stages: their names.
        words: of the command line. `--force` is removed from them once old results are deleted, because the same
            command resumes after an interruption.
        doubt: printed as a warning once nothing is refused.
    """
    from quantilizers.datasets.origins import note_origin
    from quantilizers.envs.trial import try_out
    from quantilizers.execution.worker_processes import keeping_processes
    from quantilizers.stages.manifest import Manifest
    from quantilizers.stages.run import Run
    from quantilizers.stages.settings import ACTING

    if settings.scheduler is not None:
        from quantilizers.execution.dask_cluster import check_scheduler

        try:
            check_scheduler(settings.scheduler)
        except NotInstalledError:
            raise
        except UserError as error:
            raise UserError(f"--scheduler: {error}") from None
    # TensorFlow and worker processes would fail without them.
    tempfile.gettempdir()
    Path.cwd()
    run = Run(settings)
    _check(run, stages)
    if {*ACTING} & {*stages}:
        try_out(settings.environment, settings.max_steps, settings.options)
    with keeping_processes(), _alone(settings, stages) as waited:
        if waited:
            run.refresh()
            _check(run, stages)
        asked = {
            "path": settings.layout.path,
            "quantiles": list(settings.quantiles),
            "seeds": list(settings.seeds),
            "force": settings.force,
            "final_observation": settings.layout.final_observation,
            "stages": list(stages),
        }
        run.manifest = Manifest(settings.layout.runs, {**settings.record(), **asked})
        with run.manifest.kept():
            modules = {name: stage.load() for name, stage in STAGES.items() if name in stages}
            if settings.force:
                for module in modules.values():
                    if hasattr(module, "forget"):
                        module.forget(run)
                run.refresh()
                words[:] = [word for word in words if word != "--force"]
            if settings.layout.file is None:
                note_origin(settings.layout, settings.environment)
            if doubt:
                print(f"warning: {doubt}", file=sys.stderr)
            _print_doubts(run, stages)
            for name, module in modules.items():
                with run.manifest.stage(name):
                    getattr(module, STAGES[name].function)(run)
                run.refresh()


def _check(run: Run, stages: Collection[str]) -> None:
    """Refuse, before an hour of training, stages that would fail or replace other results."""
    from quantilizers.stages.settings import ACTING

    trains = "train" in stages
    if "test" in stages and not trains:
        STAGES["test"].load().check_trained(run)
    if "pressure" in stages:
        STAGES["pressure"].load().check_trained(run, trains)
    if {"optimize", "efforts"} & {*stages} and not (trains and 1.0 in run.settings.quantiles):
        STAGES["optimize"].load().check_imitators(run)
    if {"plot", "report"} & {*stages} and "test" not in stages:
        _ = run.tested
        if not {*ACTING} & {*stages}:
            run.refuse_other_conditions()
    for module in [stage.load() for name, stage in STAGES.items() if name in stages]:
        if hasattr(module, "check"):
            module.check(run)


def _print_doubts(run: Run, stages: Collection[str]) -> None:
    """Print what makes a comparison of policies with the demonstrations doubtful, once a run."""
    from quantilizers.stages.settings import OF_DEMONSTRATIONS

    if not {*OF_DEMONSTRATIONS} & {*stages}:
        return
    from quantilizers.datasets.summary import class_doubts, horizon_doubts, ranking_doubts, space_doubts

    data = run.demonstrations
    doubts = horizon_doubts(int(data.lengths.max()), run.settings.max_steps) + class_doubts(data) + space_doubts(data)
    if any(quantile < 1 for quantile in run.settings.quantiles):
        doubts += ranking_doubts(data, run.settings.selecting.within)
    for doubt in doubts:
        print(f"warning: {doubt}", file=sys.stderr)


def _alone(settings: Settings, stages: Collection[str]) -> AbstractContextManager[bool]:
    """Lock the files that the stages write while the block runs; yield whether another process held them."""
    from quantilizers.files import holding

    names = {"dataset": settings.layout.dataset, "optimiser": "optimiser"}
    locks = [settings.layout.lock(names[files]) for files, writers in _WRITERS.items() if {*writers} & {*stages}]

    def waiting_for(holder: str) -> None:
        name = PROGRAM.rpartition("/")[2]
        print(
            f"{name}: waiting for {holder}, which writes the same files; another --path need not wait", file=sys.stderr
        )

    return holding(locks, waiting_for)
