"""Seeded chaos: real scorers, Kafka and Redis are killed, stopped, cut off and swapped under load; then it is counted.

`python -m tests.faults.chaos --seed N`, or `make chaos`. What is injected and what is proven: docs/chaos.md.
"""
