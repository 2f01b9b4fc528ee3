"""What tests of stable-baselines3's agents share; they are skipped where it is not installed."""

from __future__ import annotations

import pytest

pytest.importorskip("sb3_contrib", reason="requirements-optimizers.txt is not installed")

import torch


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """As in the processes that train: more would only fight over small networks."""
    torch.set_num_threads(1)
