"""Data sets: from a name to checked demonstrations, and bringing people's play in."""
