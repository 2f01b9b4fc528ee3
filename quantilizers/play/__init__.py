"""People at the keyboard: recording their episodes, and watching recordings, policies and optimisers.

Built on `gymnasium.utils.play.PlayableGame`, which provides the window and its events.
"""

import os

# On import pygame prints a greeting to standard output, where this project's programs print their results.
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
