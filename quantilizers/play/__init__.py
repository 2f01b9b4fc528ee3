"""People at the keyboard: recording what they play, and watching recordings and policies.

Built on `gymnasium.utils.play.PlayableGame`, which brings the window and its events.
"""

import os

# pygame greets whoever imports it on standard output, where the programs of this project put their results.
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
