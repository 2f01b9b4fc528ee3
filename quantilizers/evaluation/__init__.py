"""Rollouts of policies, files of their results, and statistics."""
