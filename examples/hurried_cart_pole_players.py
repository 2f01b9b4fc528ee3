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

from quantilizers import Episodes, load_environment, make_environment
from quantilizers.layout import Layout, log_directory

PLAYERS, EPISODES_EACH = 60, 4
HURRIED_SPEED = 2.0
#: Weights of the cart's speed, the pole's angle and its angular velocity in a player's reaction.
REACTIONS = np.array([0.2, 2.0, 1.0])


def record(seed: int) -> Episodes:
    """Return the episodes of all players; the same seed gives the same episodes."""
    environment = load_environment(str(Path(__file__).with_name("hurried_cart_pole.py")))
    number, steps = PLAYERS * EPISODES_EACH, environment.max_steps
    observations = np.zeros((number, steps, 4), dtype=np.float32)
    actions = np.zeros((number, steps, 1), dtype=np.float32)
    rewards = np.zeros((number, steps), dtype=np.float32)
    done = np.ones((number, steps), dtype=np.bool_)
    finals = np.zeros((number, 4), dtype=np.float32)
    seeds = np.random.default_rng(seed).integers(2**31, size=number)
    game = make_environment(environment)
    for episode in range(number):
        player = episode // EPISODES_EACH
        random = np.random.default_rng([seed, episode])
        skill, wanted_speed = player / (PLAYERS - 1), HURRIED_SPEED * (player % 10 == 9)
        delay = 3 if skill < 0.5 else 1
        observation, _ = game.reset(seed=int(seeds[episode]))
        for step in range(steps):
            observations[episode, step], done[episode, step] = observation, False
            late = observations[episode, max(0, step - delay)]
            urge = REACTIONS @ (late[1:] - np.array([wanted_speed, 0.0, 0.0]))
            slips = random.random() < (1 - skill) / 2
            action = int(random.integers(2)) if slips else int(urge > 0)
            actions[episode, step] = action
            observation, _, terminated, truncated, info = game.step(action)
            rewards[episode, step] = info["true_reward"]
            if terminated or truncated:
                break
        finals[episode] = observation
    names = np.repeat([f"simulated player {player}" for player in range(PLAYERS)], EPISODES_EACH)
    return Episodes(observations, actions, rewards, done, {"seed": seeds, "player": names, "final_observation": finals})


if __name__ == "__main__":
    path = Layout(log_directory(), "hurried_cart_pole", "demo").data
    record(seed=0).save(path)
    print(f"wrote {path}: {PLAYERS * EPISODES_EACH} simulated episodes")
