"""Bringing people's data in: fetching them, opening them safely and making them demonstrations."""
