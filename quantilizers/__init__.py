"""Quantilization: imitate the top fraction of demonstrations, ranked by a reward that can be gamed.

A reproduction of Ryan Carey, "How useful is quantilization for mitigating specification-gaming?" (SafeML
workshop at ICLR 2019). Importing the package registers its environments with Gymnasium.
"""

from quantilizers import envs as envs

__version__ = "0.1.0"
