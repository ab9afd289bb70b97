"""The scorer against the client's own limit and its peers, in one run on the embedded Kafka (docs/benchmarks.md)."""
