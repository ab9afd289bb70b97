"""Trainer: builds, judges and promotes models."""
