"""Hopper."""

from quantilizers.envs.hopper.environment import ENVIRONMENT as ENVIRONMENT
