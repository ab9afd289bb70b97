"""Scorer: scores records exactly once with the active model."""
