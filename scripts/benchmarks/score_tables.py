"""Curves of tables of scores, against exact binomials and against NumPy group by group."""

from __future__ import annotations

import csv
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import gammaln

from benchmarks.measuring import PeerMissingError, Plan, run_process, seconds_of, work
from benchmarks.results import Comparison

#: Coste et al. (2023) score 12,600 samples of each of 1,000 prompts.
SAMPLES, GROUPS = 12_600, 1000
TINY_SAMPLES, TINY_GROUPS = 60, 20
#: Samples of a prompt, and prompts of a file, in tables of many files.
FILE_SAMPLES, FILE_GROUPS = 100, 1000


def scores(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Trace best of n to all samples of a problem; and print the curve of 3,000 rows, as a whole process."""
    samples, groups = (TINY_SAMPLES, TINY_GROUPS) if plan.quick else (SAMPLES, GROUPS)
    found = work("score_tables:seconds_of_curves", repeats=plan.repeats(3), samples=samples, groups=groups)
    said = f"best of n to {samples:,}, {samples:,} samples of {groups:,} prompts"
    ours = tuple(found["here"])
    yield Comparison("scores", said, "NumPy, prompt by prompt", ours, tuple(found["numpy"]), "s", "peer / here", "5")
    said = f"weights of best of n, {len(_numbers(samples))} n to {samples:,}, and means of one prompt"
    one, exact = tuple(found["here_one"]), tuple(found["exact"])
    yield Comparison("scores", said, "exact binomials, as Coste et al.", one, exact, "s", "peer / here", "50")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        proxy, true, group = _table(100, 30)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("prompt", "proxy", "true"))
            writer.writerows(zip(group, proxy, true, strict=True))
        words = ["quantilizer.py", "scores", "curve", str(path), *_COLUMNS]
        pairs = [
            (run_process(*words).seconds, run_process("-c", "import polars").seconds) for _ in range(plan.repeats(7))
        ]
    here, peer = (tuple(side) for side in zip(*pairs, strict=True))
    said = "`scores curve` of 3,000 rows, whole process"
    yield Comparison("scores", said, "importing polars", here, peer, "s", "here - peer", "1.5 s")


def score_files(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Print the curve of a table of 1,000 files of 100,000 rows, by two processes, and of a tenth of it."""
    many, groups = (20, TINY_GROUPS) if plan.quick else (1000, FILE_GROUPS)
    used = {}
    with tempfile.TemporaryDirectory(dir=plan.folder) as folder:
        work("score_tables:write_files", folder=folder, files=many, groups=groups)
        for files in (many // 10, many):
            names = [str(Path(folder) / f"{place}.parquet") for place in range(files)]
            words = ["quantilizer.py", "scores", "curve", *names, *_COLUMNS, "--workers", "2"]
            used[files] = [run_process(*words) for _ in range(plan.repeats(1))]
    rows = FILE_SAMPLES * groups
    tenth, whole = used.values()
    for kind, unit, of, aim in (
        ("time", "s", lambda usage: usage.seconds, "10 times"),
        ("peak memory", "MiB", lambda usage: usage.peak_bytes / 2**20, "2,048 MiB"),
    ):
        said = f"{kind} of `scores curve` of {rows * many:,} rows in {many:,} files, two processes"
        here, peer = (tuple(map(of, several)) for several in (whole, tenth))
        yield Comparison("score_files", said, "a tenth of the files", here, peer, unit, "here / peer", aim)


_COLUMNS = ("--proxy", "proxy", "--true", "true", "--group", "prompt")


def write_files(folder: str, files: int, groups: int) -> None:
    """Write a table into Parquet files, each of other groups."""
    import polars as pl

    proxy, true, group = _table(FILE_SAMPLES, groups)
    for place in range(files):
        frame = pl.DataFrame({"prompt": group + groups * place, "proxy": np.roll(proxy, place), "true": true})
        frame.write_parquet(Path(folder) / f"{place}.parquet")


def seconds_of_curves(repeats: int, samples: int, groups: int) -> dict[str, list[float]]:
    """Return the seconds of a table's curve, here and group by group; and of one group, here and by exact binomials."""
    from quantilizers.quantilize import RULES
    from quantilizers.scores.samples import Samples

    proxy, true, group = _table(samples, groups)
    numbers = _numbers(samples)
    strengths = [RULES["best_of_n"].at(n) for n in numbers]
    found: dict[str, list[float]] = {"here": [], "numpy": [], "here_one": [], "exact": []}
    means: list[Any] = [None, None]

    def here(many: int) -> None:
        rows = many * samples
        of_rows = Samples.of(proxy[:rows], true[:rows], group[:rows])
        assert of_rows.true is not None
        means[0] = of_rows.weighted(of_rows.true, strengths).mean(axis=1)

    def by_group() -> None:
        order = np.argsort(group, kind="stable")
        ends = np.flatnonzero(np.diff(group[order])) + 1
        sums = np.zeros(len(numbers))
        for rows in np.split(order, ends):
            ranked = true[rows][np.argsort(-proxy[rows], kind="stable")]
            left = np.arange(len(rows) - 1, -1, -1)  # samples that rank behind
            for place, n in enumerate(numbers):
                with np.errstate(invalid="ignore"):
                    logarithms = gammaln(left + 1) - gammaln(left - n + 2) - gammaln(n)
                total = gammaln(len(rows) + 1) - gammaln(n + 1) - gammaln(len(rows) - n + 1)
                sums[place] += np.where(left >= n - 1, np.exp(logarithms - total), 0.0) @ ranked
        means[1] = sums / groups

    def exact() -> None:
        ranked = true[:samples][np.argsort(-proxy[:samples], kind="stable")].tolist()
        found_here = []
        for n in numbers:
            total = math.comb(samples, n)
            shares = (math.comb(samples - 1 - rank, n - 1) / total for rank in range(samples))
            found_here.append(sum(share * value for share, value in zip(shares, ranked, strict=True)))
        means[1] = found_here

    for _ in range(repeats):
        found["here"].append(seconds_of(lambda: here(groups)))
        found["numpy"].append(seconds_of(by_group))
        np.testing.assert_allclose(means[0], means[1], rtol=1e-6, atol=1e-8)
        found["here_one"].append(seconds_of(lambda: here(1)))
        found["exact"].append(seconds_of(exact))
        np.testing.assert_allclose(means[0], means[1], rtol=1e-6, atol=1e-8)
    return found


def _numbers(samples: int) -> list[int]:
    return [*(2**power for power in range(samples.bit_length()) if 2**power < samples), samples]


def _table(samples: int, groups: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    proxy = rng.normal(size=samples * groups)
    true = proxy - 0.3 * proxy**2 + rng.normal(size=len(proxy))
    return proxy, true, np.repeat(np.arange(groups), samples)
