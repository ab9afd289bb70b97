"""Client settings shared by every consumer, producer and admin client, and Kafka's errors as ours.

Our defaults first, the user's `[kafka.client]` last: TLS, SASL and any other librdkafka key passes through.
"""

from __future__ import annotations

import logging
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from longshore.config import Settings
from longshore.errors import ConfigurationError, FencedError, LongshoreError, UnavailableError

logger = logging.getLogger("longshore.kafka")

FENCED = {
    KafkaError._FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
    KafkaError.FENCED_INSTANCE_ID,
}


def bootstrap(settings: Settings) -> str:
    """The brokers' addresses.

    Raises:
        ConfigurationError: none is set.

    """
    if not settings.bootstrap_servers:
        raise ConfigurationError(
            "bootstrap_servers is not set and no local stack is running",
            mend="run `longshore local up`, or set LONGSHORE_BOOTSTRAP_SERVERS",
        )
    return settings.bootstrap_servers


def client_config(settings: Settings, **ours: Any) -> dict[str, Any]:
    """A librdkafka configuration: connection defaults, `ours` (keys with `_` for `.`), then the user's own."""
    config: dict[str, Any] = {
        "bootstrap.servers": bootstrap(settings),
        "client.id": "longshore",
        "socket.keepalive.enable": True,
        "reconnect.backoff.max.ms": 1_000,
        "logger": logger,
        "error_cb": _log_error,
    }
    config.update({key.replace("_", "."): value for key, value in ours.items()})
    return config | users_own(settings)


def users_own(settings: Settings) -> dict[str, Any]:
    """The user's `[kafka.client]`, secrets in the clear: it wins over whatever we set."""
    return {key: value.get_secret_value() for key, value in settings.kafka.client.items()}


def _log_error(error: KafkaError) -> None:
    logger.warning("kafka: %s", error)


def translate(error: KafkaException, doing: str) -> LongshoreError:
    """Our error for one of the client's: fenced, or unavailable with what was being done."""
    kafka_error = error.args[0]
    if kafka_error.code() in FENCED:
        return FencedError(
            f"{doing}: fenced: another process took over this instance's transactional id, or the broker ended its "
            "transaction, open for longer than kafka.transaction_timeout_ms",
            mend="give every process its own --instance; if that is so, start this one again",
        )
    return UnavailableError(f"{doing}: {kafka_error.str()}", mend="see that Kafka is up and the address is right")
