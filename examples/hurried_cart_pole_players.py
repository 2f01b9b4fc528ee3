"""Simulated players of the hurried cart pole; no person played these episodes.

    python examples/hurried_cart_pole_players.py

writes log/hurried_cart_pole/demo.npz: 60 players with four episodes each. Player k has skill k/59. A player sees the
pole three steps late if the skill is below one half, else one step late. At each step the player presses a random key
with probability (1 − skill)/2, and otherwise pushes to hold the pole up and the cart at a target speed: 0 for most
players, and to the right for every tenth, who is in a hurry. They were fixed before any policy was trained on them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers import Episodes, load_environment, record
from quantilizers.layout import Layout, log_directory

PLAYERS, EPISODES_EACH = 60, 4
HURRIED_SPEED = 2.0
#: Weights of the cart's speed, the pole's angle and its angular velocity in a player's reaction.
REACTIONS = np.array([0.2, 2.0, 1.0])


class Player:
    """Player k in one episode, who sees the pole some steps late."""

    def __init__(self, k: int) -> None:
        self.skill, self.wanted_speed = k / (PLAYERS - 1), HURRIED_SPEED * (k % 10 == 9)
        self.delay = 3 if self.skill < 0.5 else 1
        self.seen: list[np.ndarray] = []

    def __call__(self, observation: np.ndarray, random: np.random.Generator) -> int:
        """Return an action: 0 pushes to the left, 1 to the right."""
        self.seen.append(observation)
        late = self.seen[max(0, len(self.seen) - 1 - self.delay)]
        urge = REACTIONS @ (late[1:] - np.array([self.wanted_speed, 0.0, 0.0]))
        slips = random.random() < (1 - self.skill) / 2
        return int(random.integers(2)) if slips else int(urge > 0)


def episodes_of_all(seed: int) -> Episodes:
    """Return the episodes of all players; the same seed gives the same episodes."""
    environment = load_environment(str(Path(__file__).with_name("hurried_cart_pole.py")))
    players = np.repeat(np.arange(PLAYERS), EPISODES_EACH).tolist()
    names = [f"simulated player {k}" for k in players]
    return record(environment, [Player(k) for k in players], player=names, seed=seed)


if __name__ == "__main__":
    path = Layout(log_directory(), "hurried_cart_pole", "demo").data
    episodes_of_all(seed=0).save(path)
    print(f"wrote {path}: {PLAYERS * EPISODES_EACH} simulated episodes")
