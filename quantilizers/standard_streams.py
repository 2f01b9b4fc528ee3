"""Former name of `quantilizers.process`."""

from __future__ import annotations

from quantilizers.process import guarded_streams

__all__ = ["guarded_streams"]
