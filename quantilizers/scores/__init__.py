"""Quantilizing anything that was sampled and scored: tables of scores in, curves, choices and selections out."""
