"""`longshore demo`: the whole loop as separate processes on embedded Kafka and Redis, watched, then verified.

`command` is the story's order, `plan` its figures, `processes` the services, `watch` what is heard on the topics,
`view` what is shown, `verify` the independent reading that decides the exit code.
"""
