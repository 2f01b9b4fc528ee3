"""Simulated players at the keyboard, one file for each environment; none of their episodes was played by people."""
