"""Former name of a part of `quantilizers.files`."""

from __future__ import annotations

from quantilizers.files import holding

__all__ = ["holding"]
