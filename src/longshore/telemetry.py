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
MODEL_SWAPS = Counter(
    "longshore_model_swaps_total", "Models used, refused or late, by the refusal's class", ["outcome", "reason"]
)
MODEL_LOAD_SECONDS = Histogram(
    "longshore_model_load_seconds",
    "Time to fetch, check, load and try out a candidate, beside the scoring",
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10),
)
MODEL_TRUSTED_KEYS = Gauge("longshore_model_trusted_keys", "Keys whose signature is trusted; 0: models go unsigned")
CACHE_ERRORS = Counter("longshore_cache_errors_total", "Failed Redis calls")

# Serving (HTTP)
SERVE_REQUESTS = Counter("longshore_serve_requests_total", "HTTP requests answered", ["route", "code"])
SERVE_SECONDS = Histogram(
    "longshore_serve_seconds",
    "Time from an HTTP request's headers to the end of its answer",
    ["route"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)
SERVE_IN_FLIGHT = Gauge("longshore_serve_in_flight", "HTTP requests being answered")
SERVE_BATCH_ROWS = Histogram(
    "longshore_serve_batch_rows", "Rows of one model call", buckets=(1, 2, 4, 8, 16, 64, 256, 1024, 4096)
)
SERVE_ROWS = Counter("longshore_serve_rows_total", "Rows predicted over HTTP", ["model_version"])
SERVE_REJECTS = Counter("longshore_serve_rejects_total", "Rows refused over HTTP", ["reason"])

# Monitor
RECORDS_COUNTED = Counter("longshore_records_counted_total", "Predictions counted into panes")
RECORDS_LATE = Counter("longshore_records_late_total", "Predictions that came after their pane was closed")
LABELS_JOINED = Counter("longshore_labels_joined_total", "Labels joined to their predictions")
LABELS_LEFT_OUT = Counter("longshore_labels_left_out_total", "Labels joined to no prediction, by reason", ["reason"])
LABELS_RELAYED = Counter("longshore_labels_relayed_total", "Labels sent on under their entity's id")
LABELS_MISPLACED = Counter("longshore_labels_misplaced_total", "Labels in another partition than their entity's")
PREDICTIONS_UNLABELLED = Counter("longshore_predictions_unlabelled_total", "Predictions without label in time")
PREDICTIONS_REPEATED = Counter("longshore_predictions_repeated_total", "Predictions of an id that had one")
JOIN_WAITING = Gauge("longshore_join_waiting_records", "Predictions without label, and reverse", ["side", "partition"])
WATERMARK = Gauge("longshore_watermark_timestamp_seconds", "Event time up to which panes are closed")
LAST_VERDICT = Gauge("longshore_last_verdict_timestamp_seconds", "When the last final verdict was committed")
VERDICTS = Counter("longshore_verdicts_total", "Final verdicts", ["alert"])
DRIFT_STATE = Gauge("longshore_drift_state", "1 for the decider's present state", ["state"])
DRIFT_DISTANCE = Gauge("longshore_drift_distance", "Distances of the last final window", ["stream", "metric"])
NOTIFICATIONS = Counter(
    "longshore_notifications_total",
    "Tries to tell a target of a state change, by how they ended",
    ["target", "outcome"],
)
NOTIFICATIONS_WAITING = Gauge("longshore_notifications_waiting", "State changes a target has not accepted", ["target"])
NOTIFICATION_OLDEST = Gauge(
    "longshore_notification_oldest_timestamp_seconds",
    "When the oldest of those was written; 0: there is none",
    ["target"],
)
QUALITY_FAULT = Gauge("longshore_quality_fault", "1 while a fault of the data lasts", ["kind", "stream"])
QUARANTINE = Gauge("longshore_quarantine", "1 while faults of the data hold retraining back")

ERROR = Gauge(
    "longshore_error", "Realised error of the last window of labels: rmse, mae, bias, r2, coverage", ["metric"]
)
ERROR_RATIO = Gauge(
    "longshore_error_ratio", "The last window's error over that of the version's held-out rows", ["metric"]
)
ERROR_GREW = Gauge(
    "longshore_error_grew", "1 while the error is above validation's: by the loss test or the last window"
)
ERROR_ESTIMATE = Gauge(
    "longshore_error_estimate", "Mean |error| expected of the last final window, without labels; NaN: no estimate"
)
OUT_OF_SUPPORT_SHARE = Gauge(
    "longshore_out_of_support_share", "Share of that window's records that the model has no support for"
)
LABELS_JUDGED = Counter("longshore_labels_judged_total", "Labels in complete windows of the model in use")
LOSS_EVIDENCE = Gauge("longshore_loss_evidence", "Logarithm of the loss test's evidence that errors changed")
LOSS_LIMIT = Gauge("longshore_loss_limit", "What that is compared with")
LABEL_DISTANCE = Gauge(
    "longshore_label_distance", "Distances of the last window of labels from the training target", ["metric"]
)
KPI = Gauge("longshore_kpi", "The last value of a user's figure (monitor.kpis)", ["name"])
KPIS_UNREADABLE = Counter("longshore_kpis_unreadable_total", "Messages on `kpi` that are no value and were left out")
KPI_BREACHED = Gauge("longshore_kpi_breached", "1 from a `kpi` event to its `kpi_over`", ["name"])
LABEL_MOVED = Gauge("longshore_label_moved", "1 while the last window of labels is distributed otherwise")

REPORT_WRITTEN = Gauge("longshore_report_timestamp_seconds", "When the last report on a schedule was written")
GROUP_ERROR = Gauge(
    "longshore_group_error", "Realised error of a group in its last window: mae, rmse, bias", ["group", "metric"]
)
FAIRNESS_BREACH = Gauge(
    "longshore_fairness_breach", "1 while a group is beyond its limit in a measure of fairness", ["group", "measure"]
)

# Trainer
TRAINING_STAGE = Gauge("longshore_training_stage", "1 for the stage a run is in", ["stage"])
TRAININGS = Counter("longshore_trainings_total", "Runs by outcome", ["outcome"])
TRAINING_SECONDS = Gauge("longshore_training_seconds", "Duration of the last run")
PROJECTIONS_PENDING = Gauge("longshore_projections_pending", "Places that do not hold the registry's truth yet")

# Producer
RECORDS_PRODUCED = Counter("longshore_records_produced_total", "Records delivered", ["topic"])
