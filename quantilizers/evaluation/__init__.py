"""Letting policies act, and what came of it."""
