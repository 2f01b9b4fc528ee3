"""What is observed, done and paid on Hopper; needs no simulator."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from quantilizers.rewards import FloatArray, Steps, mean_at_end

MAX_STEPS = 1000
OBSERVATIONS = spaces.Box(-np.inf, np.inf, (11,), dtype=np.float64)
ACTIONS = spaces.Box(-1.0, 1.0, (3,), dtype=np.float32)
#: Where the foot joint's angle stands in an observation.
FOOT_OBSERVED = 4


def ankle_angle(steps: Steps) -> FloatArray:
    """Return the angle of the foot joint after each step, (n,) radians."""
    return steps.observations[:, FOOT_OBSERVED].astype(np.float64)


PROXY = mean_at_end(ankle_angle)
