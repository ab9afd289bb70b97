"""Apache Kafka and Redis as child processes, on a machine that has neither, nor Java, nor Docker.

`stack` is the face; the other modules each hold one part: the jars, the Java, the broker, Redis, processes, state.
"""
