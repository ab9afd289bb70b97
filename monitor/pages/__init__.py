"""Drift as a page that a person reads: events or a report in, one self-contained HTML text out. Pure.

`of_events` and `of_report` gather a `contents.Page`, `page` writes it, `charts` and `bars` draw its pictures. `moved`
names the ranges that moved and `story` tells an episode, also for the terminal (`longshore.cli.drift_…`).
"""
