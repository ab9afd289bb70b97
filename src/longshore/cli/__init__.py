"""The command line: the composition root, the only place that wires services to each other."""
