"""How time and memory grow with seeds, test episodes and demonstrations; draws docs/pictures/growth.png.

Each point is a whole process: training and testing on Mountain Car for some number of seeds, testing one policy in some
number of episodes, and ranking, training and testing on some number of demonstrations of simulated players. Few passes
over the data are made, which changes the cost of a seed and not how it grows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.measuring import ROOT, PeerMissingError, Plan, Usage, run_process, work
from benchmarks.results import Comparison
from quantilizers.files import atomic_write
from quantilizers.layout import benchmark_file, log_directory

ENVIRONMENT = "MountainCar-v0"
EPISODES_A_PLAYER = 5


@dataclass(frozen=True)
class GrowthCurve:
    """Seconds and peak memory against a number, ascending, of seeds, test episodes or demonstrations (`of`)."""

    of: str
    numbers: tuple[int, ...]
    seconds: tuple[float, ...]
    mebibytes: tuple[float, ...]


def growth(plan: Plan) -> Iterator[Comparison | PeerMissingError]:
    """Measure and draw the three curves, and compare the last point of each with the first."""
    curves = []
    for of, (command, usual, tiny) in _processes(plan).items():
        curves.append(_measured(of, tiny if plan.quick else usual, command))
        first, last = (curves[-1].numbers[place] for place in (0, -1))
        for kind, values, unit in (("time", curves[-1].seconds, "s"), ("peak memory", curves[-1].mebibytes, "MiB")):
            said = f"{kind} of {last:,} {of} (grows with the power {exponent(curves[-1].numbers, values):.2f})"
            yield Comparison("growth", said, f"of {first:,}", values[-1:], values[:1], unit, "here / peer", "power 1")
    path = (plan.folder if plan.quick else benchmark_file(log_directory(), "growth").parent) / "growth.png"
    draw(curves, path)
    if not plan.quick:
        with atomic_write(ROOT / "docs" / "pictures" / path.name) as temporary:
            temporary.write_bytes(path.read_bytes())


def _processes(plan: Plan) -> dict[str, tuple[Callable[[int], Usage], tuple[int, ...], tuple[int, ...]]]:
    """Return for each curve the process of a number, the usual numbers, and tiny ones."""
    log = plan.folder / "growth"
    words = ["quantilizer.py", "--env_name", ENVIRONMENT, "--log_dir", str(log), "--max_epochs", "2", "--force"]
    small = [*words, "--quantiles", "0.1", "--path", "seeds", "--number_trajectories", "10"]

    def seeds(number: int) -> Usage:
        return run_process(*small, "--do", "train", "test", "--seed_nb", str(number))

    def rollouts(number: int) -> Usage:
        # The policies were trained for the curve of seeds.
        return run_process(*small, "--do", "test", "--seed_nb", "1", "--number_trajectories", str(number))

    def demonstrations(number: int) -> Usage:
        name = f"players_{number}"
        work("growth:write_players", log=str(log), name=name, episodes=number)
        of_all = [*words, "--dataset_name", name, "--quantiles", "1.0", "0.1", "--number_trajectories", "10"]
        usage = run_process(*of_all, "--do", "train", "test", "--seed_nb", "1")
        (log / ENVIRONMENT / f"{name}.npz").unlink()
        return usage

    return {
        "seeds": (seeds, (1, 3, 10, 30, 100), (1, 2)),
        "test episodes": (rollouts, (10, 100, 1_000, 10_000), (1, 3)),
        "demonstrations": (demonstrations, (100, 1_000, 10_000, 100_000), (10, 20)),
    }


def _measured(of: str, numbers: Sequence[int], process: Callable[[int], Usage]) -> GrowthCurve:
    usages = [process(number) for number in numbers]
    seconds = tuple(usage.seconds for usage in usages)
    return GrowthCurve(of, tuple(numbers), seconds, tuple(usage.peak_bytes / 2**20 for usage in usages))


def write_players(log: str, name: str, episodes: int) -> None:
    """Write a data set of simulated players with `EPISODES_A_PLAYER` episodes each."""
    from quantilizers.layout import Layout
    from simulated_players import mountain_car

    players = mountain_car.record(1, max(2, episodes // EPISODES_A_PLAYER))
    players.save(Layout(Path(log), ENVIRONMENT, name).data)


def exponent(numbers: Sequence[int], values: Sequence[float]) -> float:
    """Return the power with which values grow beyond the least of them, by least squares of logs.

    >>> exponent([1, 10, 100], [5.0, 5.9, 14.9])
    1.0

    Seconds are noisy, so the least is not always the first. Values that do not grow have the power 0.
    """
    least = min(range(len(values)), key=values.__getitem__)
    more = [
        (math.log(number - numbers[least]), math.log(value - values[least]))
        for number, value in zip(numbers[least + 1 :], values[least + 1 :], strict=True)
        # Differences below 5 % are noise.
        if value > 1.05 * values[least]
    ]
    if len(more) < 2:
        return 0.0
    across, up = np.array(more).T
    return round(float(np.polyfit(across, up, 1)[0]), 6)


def draw(curves: Sequence[GrowthCurve], path: Path) -> None:
    """Draw time and memory on logarithmic axes, and write the numbers beside the picture."""
    from quantilizers.figures.style import PROXY_COLOUR, TRUE_COLOUR, grid_of_panels, in_house_style, save_figure

    @in_house_style
    def drawn() -> None:
        figure, panels = grid_of_panels(2, len(curves), 2.6, 2.3, sharex="col")
        rows = (("seconds", "time, s", TRUE_COLOUR), ("mebibytes", "peak memory, MiB", PROXY_COLOUR))
        for of_kind, (kind, label, colour) in zip(panels, rows, strict=True):
            for panel, curve in zip(of_kind, curves, strict=True):
                values = getattr(curve, kind)
                panel.loglog(curve.numbers, values, "o-", color=colour)
                panel.set_ylim(min(values) / 2, max(max(values), 10 * min(values)) * 1.5)
                panel.set_title(f"power {exponent(curve.numbers, values):.2f}", fontsize="medium")
                if panel is of_kind[0]:
                    panel.set_ylabel(label)
                if kind == rows[-1][0]:
                    panel.set_xlabel(curve.of)
        save_figure(figure, path, {"command": "python scripts/benchmark.py --rows growth"}, {
            "curves": [asdict(curve) for curve in curves]
        })  # fmt: skip

    drawn()
