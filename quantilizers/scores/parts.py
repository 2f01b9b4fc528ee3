"""Tables of many files, larger than memory: a job reads a file and returns the sums of its groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from quantilizers.errors import UserError
from quantilizers.execution.executor import Send, UnfinishedError
from quantilizers.execution.worker_processes import executor_for
from quantilizers.numbers_in_words import counted
from quantilizers.quantilize import RULES, Strength, implied_rule
from quantilizers.scores.curves import GroupSums, ScoreCurve, check_sizes, strengths_of, trace_sums, with_base
from quantilizers.scores.samples import Samples, check_names
from quantilizers.scores.tables import common_type, read_scores
from quantilizers.table_files import MOST_ROWS

#: Bytes of files that are read at once; larger tables are read file by file.
AT_ONCE = 2**25
#: Bytes that one core reads, ranks and sums in a second, roughly; longer work has processes.
BYTES_A_SECOND = 2**24


@dataclass(frozen=True)
class FilesJob:
    """Files to sum at some strengths; without strengths, to count the samples of their groups."""

    files: tuple[str, ...]
    proxy: str
    true: str | None
    group: str
    drop: bool
    strengths: tuple[tuple[str, float, float | None], ...] = ()

    @property
    def name(self) -> str:
        """In messages."""
        return f"reading {', '.join(self.files[:3])}{' …' if len(self.files) > 3 else ''}"


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
    """Return the curve of a table of several files, and the number of rows that were dropped.

    A job reads one file, or all files that share groups. Memory grows with the largest of these and the number of
    groups. The result is the same for any number of workers.

    Raises:
        UserError: a file cannot be used, or the rule's strengths depend on all scores.
    """
    if "-" in files:
        raise UserError("standard input is one table; --workers and --scheduler share out files")
    seconds = sum(Path(file).stat().st_size for file in files) / BYTES_A_SECOND
    name = implied_rule(rule, extra or {}) or "best_of_n"
    if strengths is None and name in RULES and RULES[name].by_score:
        raise UserError(
            f"the default strengths of {name} depend on all scores, and these files are read in parts; give --strengths"
        )
    if name == "soft_best_of_n" and "temperature" not in (extra or {}):
        raise UserError(
            "the default temperature depends on all scores, and these files are read in parts; give --temperature"
        )
    # Workers on other machines have other current folders.
    # Rows without a finite true score may be dropped, so it is read to count the others.
    jobs = [FilesJob((str(Path(file).resolve()),), proxy, true if drop else None, group, drop) for file in files]
    given = {job.files[0]: file for job, file in zip(jobs, files, strict=True)}
    with executor_for(workers, scheduler, seconds=seconds) as executor, refusals(given):
        found_sizes = {job.files[0]: found for job, found in executor.map(sizes_of_groups, jobs)}
        common_type(group, {file: found_sizes[path][2] for path, file in given.items()})
        dropped = sum(rows for _, rows, _ in found_sizes.values())
        counted_files = {job.files[0]: found_sizes[job.files[0]][0] for job in jobs if found_sizes[job.files[0]][0]}
        if not counted_files:
            raise UserError(f"{', '.join(files)}: {'no row has finite scores' if dropped else 'there are no rows'}")
        sizes = Counter[Any]()
        for found in counted_files.values():
            sizes.update(found)
        check_names(sorted(sizes))
        if len(sizes) == 1:
            raise UserError(f"there is one group in all files, {next(iter(sizes))}; give one file")
        if strengths is None:
            smallest = min(sizes.values())
            # A table with two groups of this size, of which one tells the strengths that all groups can have.
            names = sorted(sizes, key=lambda one: (sizes[one], one))
            if smallest == 1:
                check_sizes(names, [sizes[one] for one in names])
            several = Samples.of(np.zeros(2 * smallest), None, np.repeat([0, 1], smallest))
            wanted = strengths_of(several, name, None, extra)
        else:
            wanted = strengths_of(Samples.of([0.0, 1.0], None, [0, 1]), name, strengths, extra)
        chosen = with_base(wanted)
        described = tuple((one.rule.name, one.value, one.extra) for one in chosen)
        jobs = []
        for together in files_by_groups(counted_files):
            rows = sum(sum(counted_files[file].values()) for file in together)
            if len(together) > 1 and rows > MOST_ROWS:
                raise UserError(
                    f"{len(together):,} files share groups, such as {together[0]} and {together[1]}, and have {rows:,} "
                    f"rows together; {MOST_ROWS:,} can be ranked: put the rows of a group into one file"
                )
            jobs.append(FilesJob(tuple(together), proxy, true, group, drop, described))
        parts = {job.files: result for job, result in executor.map(sums_of_files, jobs)}
    found_parts = [parts[job.files] for job in jobs]
    return trace_sums(GroupSums.joined(found_parts), chosen, seed=seed), dropped


@contextmanager
def refusals(given: Mapping[str, str]) -> Iterator[None]:
    """Refuse a table of which some files are refused, in the words of the first file; nothing of it is kept.

    `given` has the names of the command line, by path.
    """
    try:
        yield
    except UnfinishedError as error:
        reason = next(iter(error.reasons.values()))
        for path in sorted(given, key=len, reverse=True):
            reason = reason.replace(path, given[path])
        more = f"; {counted(len(error.reasons) - 1, 'more file')} cannot be used" if len(error.reasons) > 1 else ""
        raise UserError(f"{reason}{more}") from None


def files_by_groups(groups: Mapping[str, Iterable[Any]]) -> list[list[str]]:
    """Return files that share groups together, in their order.

    >>> files_by_groups({"a": [1, 2], "b": [3], "c": [2, 4]})
    [['a', 'c'], ['b']]
    """
    first: dict[Any, str] = {}
    leader = {file: file for file in groups}

    def lead(file: str) -> str:
        while leader[file] != file:
            file = leader[file] = leader[leader[file]]
        return file

    for file, names in groups.items():
        for name in names:
            other = lead(first.setdefault(name, file))
            own = lead(file)
            if other != own:
                leader[own] = other
    together: dict[str, list[str]] = {}
    for file in groups:
        together.setdefault(lead(file), []).append(file)
    return [*together.values()]


def sizes_of_groups(job: FilesJob, send: Send) -> tuple[dict[Any, int], int, str]:
    """Return the samples of each group of a file, which may have none; how many rows were dropped; the groups' type."""
    table = read_scores(job.files, [job.proxy], job.true, job.group, drop=job.drop, may_be_empty=True)
    assert table.group is not None
    names, counts = np.unique(table.group, return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True)), table.dropped, table.group_type


def sums_of_files(job: FilesJob, send: Send) -> GroupSums:
    """Return the sums of the groups of files."""
    table = read_scores(job.files, [job.proxy], job.true, job.group, drop=job.drop)
    true = None if job.true is None else table.numbers[job.true]
    samples = Samples.of(table.numbers[job.proxy], true, table.group)
    strengths = [Strength(RULES[name], value, extra) for name, value, extra in job.strengths]
    return GroupSums.of(samples, strengths)
