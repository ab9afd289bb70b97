"""Bytewax without a model: `bytewax_peer.py BOOTSTRAP INPUT OUTPUT`. It knows no transactions: at least once."""

from __future__ import annotations

import sys

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.testing import run_main
from embed import embedded


def main() -> None:
    bootstrap, source, target = sys.argv[1:]
    flow = Dataflow("embed")
    records = kop.input("records", flow, brokers=[bootstrap], topics=[source], tail=True, batch_size=1_000)
    out = op.map("embed", records.oks, lambda message: KafkaSinkMessage(message.key, embedded(message.value)))
    config = {"compression.codec": "lz4", "linger.ms": "5", "queue.buffering.max.messages": "500000"}
    kop.output("predictions", out, brokers=[bootstrap], topic=target, add_config=config)
    run_main(flow)


if __name__ == "__main__":
    main()
