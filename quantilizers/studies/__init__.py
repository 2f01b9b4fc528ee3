"""Comparisons of agents: controls, the exact quantilizer and its frontier, bounds, other players, imitators."""
