"""Figures and tables of given results."""
