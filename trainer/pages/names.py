"""What a version's files for people are called."""

EXPLORATION, REPORT, CARD = "exploration.html", "report.html", "card.md"
SUMMARY = "summary.json"
"""The training set in figures: what the next version's set is compared with."""
