"""Environments: what one is, where to find it, how it pays two rewards; and the three that ship."""
