"""Monitors of both roles killed, stopped and restarted under a stream; what they tell must be as if undisturbed.

`story` has the records and what must come of them, `seen` what came, `members` the processes, `run` the faults.
"""
