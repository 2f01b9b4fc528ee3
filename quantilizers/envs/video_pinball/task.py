"""What is observed and done in Video Pinball; needs no emulator."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

MAX_STEPS = 27_000
STACK, SIDE = 4, 84
#: How many games are replayed or tested side by side; each is a thread.
PARALLEL_GAMES = 64
OBSERVATIONS = spaces.Box(0, 255, (STACK, SIDE, SIDE), dtype=np.uint8)
ACTIONS = spaces.Discrete(9)
FRAMES_PER_SECOND = 60
