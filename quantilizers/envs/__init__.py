"""Environments: their definition, registry and two rewards; and the three that ship."""
