#!/usr/bin/env python3
"""Study Mountain Car on the shipped demonstrations, on further draws of their players, and on other populations.

    python scripts/study_populations.py                     all data sets, one after the other
    python scripts/study_populations.py slow good           some of them
    python scripts/study_populations.py draw_1 --seed_nb 5 --subsets 10 --budgets epochs

makes the demonstrations log/MountainCar-v0/NAME.npz and writes log/study/populations/NAME_MountainCar-v0.json. Flags
come after the names and are those of `quantilizer.py --do study`. A stopped study resumes. Unless flags say otherwise
there are ten training seeds, twenty random subsets, both budgets, and the environment's quantiles.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers.programs import Parser, require_libraries, run_program

require_libraries()

from make_demo import demonstrate
from quantilizer import main as quantilize
from quantilizers.choices import check_choice
from quantilizers.commands.command_line import parse
from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.errors import UserError
from quantilizers.layout import Layout, log_directory

ENVIRONMENT = "MountainCar-v0"
#: Population and seed of the players of each data set; `demo` ships.
DATA_SETS = {
    "demo": ("shipped", 0),
    "draw_1": ("shipped", 1),
    "draw_2": ("shipped", 2),
    "draw_3": ("shipped", 3),
    "slow": ("slow", 1),
    "good": ("good", 1),
    "poor": ("poor", 1),
}
#: Ten seeds and twenty subsets; flags of the command line that come later replace them.
SIZE = ("--seed_nb", "10", "--subsets", "20")


def make(name: str, log: Path) -> None:
    """Write the demonstrations of a data set, unless they are there.

    Raises:
        UserError: other demonstrations have their place.
    """
    path = Layout(log, ENVIRONMENT, name).data
    population, seed = DATA_SETS[name]
    if name == "demo":
        return
    wanted = demonstrate(ENVIRONMENT, seed, population=population)
    if not path.exists():
        wanted.episodes.save(path)
    elif Demonstrations.load(path, ENVIRONMENT).fingerprint != wanted.fingerprint:
        raise UserError(f"{path} has other demonstrations than population {population} with seed {seed}; move it away")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    codes: list[int] = []

    def work() -> None:
        parser = Parser("scripts/study_populations.py", description=__doc__)
        parser.add_argument("names", nargs="*", metavar="NAME", help=f"data sets: {', '.join(DATA_SETS)} (all)")
        first_flag = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
        flags = words[first_flag:]
        options = parser.parse_args(words if {"-h", "--help", "--version"} & {*flags} else words[:first_flag])
        for name in options.names:
            check_choice("NAME", name, tuple(DATA_SETS))
        study = ["--do", "study", "--env_name", ENVIRONMENT, "--path", "populations/", *SIZE, *flags]
        log = Path(parse(study).get("log_dir", log_directory()))
        for name in options.names or DATA_SETS:
            make(name, log)
            print(f"\n{name}: population {DATA_SETS[name][0]}, seed {DATA_SETS[name][1]}", flush=True)
            codes.append(quantilize([*study, "--dataset_name", name]))
            if codes[-1]:
                return

    return run_program("scripts/study_populations.py", work) or max(codes, default=0)


if __name__ == "__main__":
    sys.exit(main())
