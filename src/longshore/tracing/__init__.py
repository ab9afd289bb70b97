"""What became of one record: everything about it that stands in topics and the registry, put together.

Reading paths: `asked` for what a person may ask, `matching` for how a message is recognised, `collect` for what is read
in which order and how far, `lineage` and `drift` for the model's and the monitor's part, `trace` for the answer. None
of it touches Kafka: `collect` reads through the `Finder` it is given (`longshore.kafka.finding`).
"""
