"""What the programs under `play/` share on their command lines."""

from __future__ import annotations

from quantilizers.envs import environment_names
from quantilizers.programs import Parser


class PlayParser(Parser):
    """The parser of a program under `play/`, with the flags that all of them have.

    Args:
        program: its name, such as `gather_data.py`.
        description: what it does.
    """

    def __init__(self, program: str, description: str) -> None:
        super().__init__(f"play/{program}", description=description)
        self.add_argument(
            "--env_id",
            "--env_name",
            dest="env_name",
            default="MountainCar-v0",
            help=f"environment: {', '.join(environment_names())} (MountainCar-v0)",
        )
        self.add_argument("--zoom", type=float, help="how much to enlarge the game (chosen by its height)")
        self.add_argument("--hide_rewards", action="store_true", help="do not show the two returns")


def positive_number(text: str) -> float:
    """Return a number of the command line that must lie above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError
    return value


def positive_count(text: str) -> int:
    """Return a whole number of the command line that must be at least 1."""
    value = int(text)
    if value < 1:
        raise ValueError
    return value
