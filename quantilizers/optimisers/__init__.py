"""The optimisers: agents that learn to earn all the proxy reward they can, and in doing so game it.

An optimiser is what a quantilizer becomes as q goes to 0, so its results are kept under the quantile 0.
"""
