"""Quix Streams, exactly once: without a model, or with one called per record, as its users write it.

`quix_peer.py BOOTSTRAP GROUP INPUT OUTPUT none|sklearn|onnx [FILE]`. Nothing is parsed without a model.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from embed import embedded
from quixstreams import Application

COMMIT_INTERVAL_S = 1.0
"""Longer transactions are faster here; its default of 5 s is no faster."""


def main() -> None:
    bootstrap, group, source, target, kind, *file = sys.argv[1:]
    app = Application(
        broker_address=bootstrap,
        consumer_group=group,
        processing_guarantee="exactly-once",
        auto_offset_reset="earliest",
        auto_create_topics=False,
        commit_interval=COMMIT_INTERVAL_S,
        loglevel="WARNING",
        consumer_extra_config={"queued.max.messages.kbytes": 65_536, "fetch.wait.max.ms": 20},
        producer_extra_config={"compression.type": "lz4", "linger.ms": 5, "batch.num.messages": 10_000},
    )
    decode = "bytes" if kind == "none" else "json"
    records = app.topic(source, key_deserializer="bytes", value_deserializer=decode)
    predictions = app.topic(target, key_serializer="bytes", value_serializer="bytes" if kind == "none" else "json")
    app.dataframe(records).apply(function(kind, file)).to_topic(predictions)
    app.run()


def function(kind: str, file: list[str]) -> Any:
    if kind == "none":
        return embedded
    predict = sklearn_model(file[0]) if kind == "sklearn" else onnx_model(file[0])

    def score(record: dict[str, Any]) -> dict[str, Any]:
        return {
            "record_id": record["record_id"],
            "district_id": record["district_id"],
            "event_time": record["event_time"],
            "scored_at": time.time_ns() // 1_000_000,
            "prediction": predict(record),
            "model_version": "v1",
            "route": "champion",
            "record": record,
        }

    return score


def sklearn_model(file: str) -> Any:
    import joblib  # noqa: PLC0415  (only the contestant that needs it)
    import pandas as pd  # noqa: PLC0415

    pipeline = joblib.load(file)
    names = list(pipeline.feature_names_in_)
    return lambda record: float(pipeline.predict(pd.DataFrame([{name: record.get(name) for name in names}]))[0])


def onnx_model(file: str) -> Any:
    import numpy as np  # noqa: PLC0415
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = session.get_modelmeta().custom_metadata_map
    numeric, nominal = json.loads(names["longshore.numeric"]), json.loads(names["longshore.nominal"])

    def predict(record: dict[str, Any]) -> float:
        numbers = [[np.nan if record.get(name) is None else record[name] for name in numeric]]
        inputs = {"numeric": np.array(numbers, dtype=np.float32)}
        inputs["nominal"] = np.array([[record.get(name) or "" for name in nominal]], dtype=object)
        return float(session.run(["prediction"], inputs)[0][0, 0])

    return predict


if __name__ == "__main__":
    main()
