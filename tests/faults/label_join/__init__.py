"""Joiners killed, stopped and restarted under a stream of predictions and labels; the errors must be as if undisturbed.

`story` has what is written and what must come of it, `run` the joiners, the faults and what is seen of them.
"""
