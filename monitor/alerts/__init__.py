"""State changes told to others: which event is one, what it says, who is told, how often, and in which order."""
