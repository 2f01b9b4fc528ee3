#!/usr/bin/env python3
"""Watch a recording or a trained policy, in a window or as a GIF or MP4.

    python play/replay.py --env_id Hopper-v2 --dataset_name ryan --episode best
    python play/replay.py --env_id MountainCar-v0 --dataset_name demo --quantile 0.25 --seed_min 0 --output car.gif

A recording that names its reset seeds is replayed exactly. One without them starts from its first observation,
where that shows the environment's whole state.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers.commands.replay import main

if __name__ == "__main__":
    sys.exit(main())
