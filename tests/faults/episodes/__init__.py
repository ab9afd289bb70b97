"""Drift episodes one after another, each with a crash in it: one request, one training, one outcome each.

`processes` has the replicas and how they die, `run` the episodes, `oracle` what must be true in the end.
"""
