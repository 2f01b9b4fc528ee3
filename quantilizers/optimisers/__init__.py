"""The optimisers: agents that maximise the proxy reward, and thereby game it.

An optimiser is the limit of a quantilizer as q goes to 0; its results are stored under quantile 0.
"""
