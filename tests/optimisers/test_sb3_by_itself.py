"""Stable-Baselines3 as its users call it, beside this project and TensorFlow, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support import ROOT

pytest.importorskip("stable_baselines3", reason="requirements-optimizers.txt is not installed")
pytest.importorskip("tensorflow", reason="it crashed in processes with both TensorFlow and PyTorch")

CODE = """
import gymnasium
from stable_baselines3 import PPO
import tensorflow, torch, quantilizers

torch.set_num_threads(1)
for name in ("CartPole-v1", "quantilizers/HopperRR-v0"):
    model = PPO("MlpPolicy", gymnasium.make(name), n_steps=64, n_epochs=2, seed=0, device="cpu").learn(128)
    print(name, model.num_timesteps, len(model.ep_info_buffer) > 0)
"""


def test_ppo_learns_here_and_elsewhere() -> None:
    """With torch 2.14.1 and CUDA it ended in a segmentation fault."""
    done = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["CartPole-v1", "128", "True", "quantilizers/HopperRR-v0", "128", "True"]
