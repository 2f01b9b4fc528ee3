"""Tables of many files, larger than memory: a job reads a file and returns the sums of its groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from quantilizers.errors import UserError
from quantilizers.execution.executor import Send
from quantilizers.execution.worker_processes import executor_for
from quantilizers.quantilize import RULES, Strength
from quantilizers.scores.curves import GroupSums, ScoreCurve, strengths_of, trace_sums, with_base
from quantilizers.scores.samples import Samples
from quantilizers.scores.tables import read_scores

#: Bytes of files that are read at once; larger tables are read file by file.
AT_ONCE = 2**25
#: Bytes that one core reads, ranks and sums in a second, roughly; longer work has processes.
BYTES_A_SECOND = 2**24


@dataclass(frozen=True)
class FileJob:
    """A file to sum at some strengths; without strengths, to count the samples of its groups."""

    file: str
    proxy: str
    true: str | None
    group: str
    drop: bool
    strengths: tuple[tuple[str, float, float | None], ...]

    @property
    def name(self) -> str:
        """In messages."""
        return f"reading {self.file}"


def worth_parts(files: Sequence[str]) -> bool:
    """Whether a table is too large to be read at once."""
    return len(files) > 1 and "-" not in files and sum(Path(file).stat().st_size for file in files) > AT_ONCE


def trace_files(
    files: Sequence[str],
    proxy: str,
    true: str | None,
    group: str,
    *,
    rule: str | None = None,
    strengths: Sequence[float] | None = None,
    extra: dict[str, float] | None = None,
    drop: bool = False,
    seed: int = 0,
    workers: int | None = None,
    scheduler: str | None = None,
) -> tuple[ScoreCurve, int]:
    """Return the curve of a table whose groups each lie in one file, and the number of rows that were dropped.

    Memory grows with the largest file and the number of groups. The result is the same for any number of workers.

    Raises:
        UserError: a file cannot be used, a group lies in two files, or the rule's strengths depend on all scores.
    """
    if "-" in files:
        raise UserError("standard input is one table; --workers and --scheduler share out files")
    seconds = sum(Path(file).stat().st_size for file in files) / BYTES_A_SECOND
    name = rule or "best_of_n"
    if strengths is None and name in RULES and RULES[name].by_score:
        raise UserError(
            f"the default strengths of {name} depend on all scores, and these files are read in parts; give --strengths"
        )
    if name == "soft_best_of_n" and "temperature" not in (extra or {}):
        raise UserError(
            "the default temperature depends on all scores, and these files are read in parts; give --temperature"
        )
    job = FileJob("", proxy, true, group, drop, ())
    with executor_for(workers, scheduler, seconds=seconds) as executor:
        if strengths is None:
            jobs = [replace(job, file=file, true=None) for file in files]
            sizes = {done.file: size for done, size in executor.map(smallest_group, jobs)}
            smallest = min(sizes.values())
            if smallest == 1:
                named = next(file for file in files if sizes[file] == 1)
                raise UserError(f"{named}: a group has one sample; selection within a group needs two or more")
            several = Samples.of(np.zeros(2 * smallest), None, np.repeat([0, 1], smallest))
            wanted = strengths_of(several, name, None, extra)
        else:
            wanted = strengths_of(Samples.of([0.0, 1.0], None, [0, 1]), name, strengths, extra)
        chosen = with_base(wanted)
        told = tuple((one.rule.name, one.value, one.extra) for one in chosen)
        jobs = [replace(job, file=file, strengths=told) for file in files]
        found = {done.file: result for done, result in executor.map(sums_of_file, jobs)}
    where: dict[str, str] = {}
    for file in files:
        for one in found[file][0].names:
            if where.setdefault(one, file) != file:
                raise UserError(
                    f"group {one!r} is in {where[one]} and in {file}; put the rows of a group into one file"
                )
    table = GroupSums.joined([found[file][0] for file in files])
    if table.groups == 1:
        raise UserError("there is one group in all files; give one file")
    return trace_sums(table, chosen, seed=seed), sum(dropped for _, dropped in found.values())


def smallest_group(job: FileJob, send: Send) -> int:
    """Return the size of a file's smallest group."""
    table = read_scores([job.file], [job.proxy], None, job.group, drop=job.drop)
    assert table.group is not None
    _, counts = np.unique(table.group, return_counts=True)
    return int(counts.min())


def sums_of_file(job: FileJob, send: Send) -> tuple[GroupSums, int]:
    """Return the sums of a file's groups, and the number of rows that were dropped."""
    table = read_scores([job.file], [job.proxy], job.true, job.group, drop=job.drop)
    true = None if job.true is None else table.numbers[job.true]
    samples = Samples.of(table.numbers[job.proxy], true, table.group)
    strengths = [Strength(RULES[name], value, extra) for name, value, extra in job.strengths]
    try:
        return GroupSums.of(samples, strengths), table.dropped
    except UserError as error:
        raise UserError(f"{job.file}: {error}") from None
