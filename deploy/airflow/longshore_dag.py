"""Airflow: retrain by the calendar, instead of `longshore train --follow --schedule`.

Three tasks, all through the command line, in whichever environment `LONGSHORE_COMMAND` names (Longshore and Airflow
need not share one): `check` the way to Kafka, Redis and the registry, where a first model must be; `train`; `verify`
what is champion now. Data set, search, evaluation, registration, gate and promotion are the one command `longshore
train`: it resumes where it was killed, and cutting it up would only move its steps' state out of the registry.

A run's id is the training's trigger id: a retried task goes on with the same version, and is never promoted twice. A
rejected challenger is an outcome, not a failure. Settings are the worker's `LONGSHORE_…` environment.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

LONGSHORE = os.environ.get("LONGSHORE_COMMAND", "longshore")
SCHEDULE = os.environ.get("LONGSHORE_AIRFLOW_SCHEDULE", "@weekly")
TRAIN = os.environ.get("LONGSHORE_AIRFLOW_TRAIN", "--from stream")
"""Where the rows come from: options of `longshore train`."""

TRIGGER_ID = "airflow-{{ run_id | replace(':', '') | replace('+', '-') }}"

with DAG(
    dag_id="longshore_retraining",
    description="Train a challenger on fresh labelled records, judge it, promote it if it passes the gate.",
    schedule=SCHEDULE,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["longshore"],
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1), "execution_timeout": timedelta(hours=1)},
) as dag:
    check = BashOperator(task_id="check", bash_command=f"{LONGSHORE} doctor", append_env=True)
    train = BashOperator(
        task_id="train",
        bash_command=f"{LONGSHORE} train {TRAIN} --trigger-id {TRIGGER_ID} --output json",
        append_env=True,
    )
    verify = BashOperator(task_id="verify", bash_command=f"{LONGSHORE} model verify champion", append_env=True)
    check >> train >> verify
