"""Derivation and validation of Video Pinball's cheat detector."""
