"""Every metric's name, in one place. CPU and memory come from prometheus-client's own process collector.

Alert rules (deploy/prometheus) and dashboards (deploy/grafana) use these names; a test compares them.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

# Every service
CONSUMER_LAG = Gauge("longshore_consumer_lag_records", "Records not yet consumed", ["service", "topic", "partition"])
TRANSACTIONS = Counter("longshore_transactions_total", "Transactions by outcome", ["service", "outcome"])
TRANSACTION_SECONDS = Histogram(
    "longshore_transaction_seconds",
    "Time from begin to the end of a transaction",
    ["service"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
REBALANCES = Counter("longshore_rebalances_total", "Partitions assigned, revoked or lost", ["service", "kind"])
HEARTBEAT = Gauge("longshore_last_beat_timestamp_seconds", "When the service's loop last went round", ["service"])

# Scorer
RECORDS_SCORED = Counter("longshore_records_scored_total", "Predictions committed", ["model_version"])
DEAD_LETTERS = Counter("longshore_dead_letters_total", "Dead letters committed", ["reason"])
SCORE_SECONDS = Histogram(
    "longshore_score_seconds",
    "Time of one model call",
    buckets=(0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1),
)
LAST_SCORED = Gauge("longshore_last_scored_timestamp_seconds", "When a prediction was last committed")
MODEL_GENERATION = Gauge("longshore_model_generation", "Alias generation of the model in use", ["model_version"])
MODEL_SWAPS = Counter("longshore_model_swaps_total", "Models taken into use or refused", ["outcome"])
CACHE_ERRORS = Counter("longshore_cache_errors_total", "Failed Redis calls")

# Monitor
RECORDS_COUNTED = Counter("longshore_records_counted_total", "Predictions counted into panes")
RECORDS_LATE = Counter("longshore_records_late_total", "Predictions that came after their pane was closed")
WATERMARK = Gauge("longshore_watermark_timestamp_seconds", "Event time up to which panes are closed")
LAST_VERDICT = Gauge("longshore_last_verdict_timestamp_seconds", "When the last final verdict was committed")
VERDICTS = Counter("longshore_verdicts_total", "Final verdicts", ["alert"])
DRIFT_STATE = Gauge("longshore_drift_state", "1 for the decider's present state", ["state"])
DRIFT_DISTANCE = Gauge("longshore_drift_distance", "Distances of the last final window", ["stream", "metric"])

# Trainer
TRAINING_STAGE = Gauge("longshore_training_stage", "1 for the stage a run is in", ["stage"])
TRAININGS = Counter("longshore_trainings_total", "Runs by outcome", ["outcome"])
TRAINING_SECONDS = Gauge("longshore_training_seconds", "Duration of the last run")
PROJECTIONS_PENDING = Gauge("longshore_projections_pending", "Places that do not hold the registry's truth yet")

# Producer
RECORDS_PRODUCED = Counter("longshore_records_produced_total", "Records delivered", ["topic"])
