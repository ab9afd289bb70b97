"""Faust (faust-streaming), exactly once, without a model: `faust_peer.py BOOTSTRAP GROUP INPUT OUTPUT FOLDER`."""

from __future__ import annotations

import sys

import faust
from embed import embedded


def main() -> None:
    bootstrap, group, source, target, folder = sys.argv[1:]
    app = faust.App(
        group,
        broker=f"kafka://{bootstrap}",
        datadir=folder,
        processing_guarantee="exactly_once",
        consumer_auto_offset_reset="earliest",
        topic_partitions=4,
        topic_disable_leader=True,
        web_enabled=False,
        producer_compression_type="lz4",
        producer_linger=0.005,
        broker_commit_interval=0.1,
        stream_buffer_maxsize=16_384,
    )
    records = app.topic(source, key_serializer="raw", value_serializer="raw", key_type=bytes, value_type=bytes)
    predictions = app.topic(target, key_serializer="raw", value_serializer="raw", key_type=bytes, value_type=bytes)

    @app.agent(records)
    async def embed(stream: faust.Stream) -> None:
        async for key, value in stream.items():
            await predictions.send(key=key, value=embedded(value))

    sys.argv = ["faust", "worker", "-l", "warn"]
    app.main()


if __name__ == "__main__":
    main()
