"""Trainers killed at random steps of a run and at random moments; what must never be, and what must be at the end.

`launch` has the processes and their fates, `run` what they are asked for, `watch` what is seen meanwhile, `oracle` what
must be true in the end.
"""
