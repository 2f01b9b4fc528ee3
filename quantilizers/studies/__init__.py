"""What compares agents: softer cuts, the exact quantilizer and its frontier, bounds."""
