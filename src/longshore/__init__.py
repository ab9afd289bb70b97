"""Longshore scores Kafka streams exactly once, watches them for drift, and retrains, gates and swaps the model."""

from importlib.metadata import version

__version__ = version("longshore")
