#!/usr/bin/env python3
"""Make the tables of scores in examples/scores.

    python scripts/make_scores.py

`simulated_reward_model.csv` is simulated: no model and no person scored anything. Its true score turns where
`true_means` says. `mountain_car_starts.csv` has 30,000 episodes of the simulated players of Mountain Car, in 40 groups
of equal starts. The same version of NumPy gives the same files, byte for byte.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers.programs import Parser, require_libraries, run_program

require_libraries()

import numpy as np
import numpy.typing as npt

from quantilizers.datasets.demonstrations import Demonstrations
from quantilizers.envs.registry import load_environment
from quantilizers.files import atomic_write
from quantilizers.rewards import FloatArray
from simulated_players import players_of

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "scores"
PROMPTS, SAMPLES = 200, 32
#: How often a sample exploits the reward model, what that adds to the proxy, and what it costs of the true score.
EXPLOITS, FLATTERY, HARM = 0.04, 2.5, 3.0
STARTS, EPISODES = 40, 30_000


def simulate(
    prompts: int, samples: int, generator: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray, npt.NDArray[np.bool_]]:
    """Return proxy, true score, another proxy, and which samples exploit the proxy, all (prompts, samples).

    The true score is a prompt's level plus the sample's quality. The proxy, a simulated reward model, sees both with
    noise, and some samples exploit it: their proxy is higher, their true score lower. The other proxy sees the true
    score with more noise.
    """
    level = generator.normal(size=(prompts, 1))
    quality = generator.normal(size=(prompts, samples))
    noise = generator.normal(size=(prompts, samples)) / 2
    exploits = generator.random((prompts, samples)) < EXPLOITS
    true = level + quality - HARM * exploits
    return level + quality + noise + FLATTERY * exploits, true, true + 2 * generator.normal(size=true.shape), exploits


def true_means(most: int, prompts: int = 20_000, seed: int = 1) -> dict[int, float]:
    """Return the mean true score of best of n from the simulation itself, for n = 1, 2, 4, … up to `most`."""
    proxy, true, *_ = simulate(prompts, most, np.random.default_rng(seed))
    rows = np.arange(prompts)
    numbers = [2**power for power in range(most.bit_length()) if 2**power <= most]
    return {n: float(true[rows, proxy[:, :n].argmax(axis=1)].mean()) for n in numbers}


def reward_model() -> str:
    """Return the table of the simulated reward model."""
    proxy, true, other, exploits = simulate(PROMPTS, SAMPLES, np.random.default_rng(0))
    prompt = np.repeat(np.arange(1, PROMPTS + 1), SAMPLES)
    rows = zip(prompt, proxy.ravel(), true.ravel(), other.ravel(), exploits.ravel(), strict=True)
    lines = [f"{of},{score:.3f},{value:.3f},{second:.3f},{exploit:d}" for of, score, value, second, exploit in rows]
    return "\n".join(["prompt,proxy,true,other_proxy,exploit", *lines]) + "\n"


def mountain_car() -> str:
    """Return the table of the simulated players of Mountain Car, whose episodes are grouped by their start."""
    environment = load_environment("MountainCar-v0")
    episodes = Demonstrations(players_of(environment).sample(EPISODES, np.random.default_rng([1, 0])), environment)
    position = np.asarray(episodes.episodes.observations)[:, 0, 0]
    edges = np.linspace(-0.6, -0.4, STARTS + 1)
    start = np.clip(np.digitize(position, edges), 1, STARTS)
    rows = zip(start, episodes.proxy_returns, episodes.true_returns, strict=True)
    lines = [f"{int(at)},{proxy:.2f},{true:.0f}" for at, proxy, true in rows]
    return "\n".join(["start,proxy_return,true_return", *lines]) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""

    def work() -> None:
        Parser("scripts/make_scores.py", description=__doc__).parse_args(arguments)
        for name, text in (("simulated_reward_model.csv", reward_model()), ("mountain_car_starts.csv", mountain_car())):
            with atomic_write(FOLDER / name) as temporary:
                temporary.write_text(text, encoding="utf-8")
            print(f"wrote {FOLDER / name}: {text.count(chr(10)) - 1:,} rows")
        means = ", ".join(f"{n}: {mean:.3f}" for n, mean in true_means(SAMPLES).items())
        print(f"true score of best of n in the simulation: {means}")

    return run_program("scripts/make_scores.py", work)


if __name__ == "__main__":
    sys.exit(main())
