"""Helpers of the tests of stable-baselines3's agents, which are skipped where it is not installed."""

from __future__ import annotations

import pytest

pytest.importorskip("sb3_contrib", reason="requirements-optimizers.txt is not installed")

import torch


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Use one thread, as the processes that train do: more would slow small networks down."""
    torch.set_num_threads(1)
