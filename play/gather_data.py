#!/usr/bin/env python3
"""Record demonstrations: play an environment with the keyboard, in one window.

    python play/gather_data.py --env_id MountainCar-v0 --filename ryan

Every finished episode is in log/<ENV>/<FILENAME>.npz at once. Esc or closing the window ends.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from quantilizers.commands.gather_data import main

if __name__ == "__main__":
    sys.exit(main())
