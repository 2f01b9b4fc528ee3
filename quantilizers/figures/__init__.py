"""Figures and tables, of results that are handed to them."""
