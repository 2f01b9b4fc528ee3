"""Former name of `quantilizers.process`."""

from __future__ import annotations

from quantilizers.process import display_is_named

__all__ = ["display_is_named"]
