"""The targets that the settings name, with the secrets from their files."""

from __future__ import annotations

from longshore.alert_settings import AlertSettings, WebhookSettings
from longshore.errors import ConfigurationError
from longshore.monitor.alerts.post import check_url
from longshore.monitor.alerts.signature import key_of
from longshore.monitor.alerts.targets import Alertmanager, Log, Target, Webhook


def has_receivers(settings: AlertSettings) -> bool:
    """Whether anybody beyond the log is to be told."""
    return bool(settings.webhooks or settings.alertmanagers)


def targets_of(settings: AlertSettings) -> list[Target]:
    """Every target, receivers first. Its name is its kind and the name in the settings.

    Raises:
        ConfigurationError: an address or a secret cannot be used, or there is no target at all.

    """
    found: list[Target] = []
    for name, webhook in settings.webhooks.items():
        setting = f"alerts.webhooks.{name}"
        url = webhook.url.get_secret_value()
        check_url(url, f"{setting}.url")
        found.append(Webhook(f"webhook.{name}", url, _keys(webhook, setting)))
    for name, address in settings.alertmanagers.items():
        check_url(address.get_secret_value(), f"alerts.alertmanagers.{name}")
        found.append(Alertmanager(f"alertmanager.{name}", address.get_secret_value()))
    if settings.log:
        found.append(Log("log"))
    if not found:
        raise ConfigurationError(
            "alerts names nobody who is to be told", mend="set alerts.webhooks, alerts.alertmanagers or alerts.log"
        )
    return found


def _keys(webhook: WebhookSettings, setting: str) -> list[bytes]:
    if (webhook.secret is None) == (webhook.secret_file is None):
        raise ConfigurationError(
            f"{setting} has {'no secret' if webhook.secret is None else 'secret and secret_file'}",
            mend="set one of secret and secret_file: a receiver must be able to tell a message from a forgery",
        )
    if webhook.secret_file is not None:
        setting = f"{setting}.secret_file = {webhook.secret_file}"
        try:
            text = webhook.secret_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{setting}: {error}", mend="name a readable file") from error
    else:
        setting = f"{setting}.secret"
        text = webhook.secret.get_secret_value() if webhook.secret else ""
    return [key_of(secret, setting) for secret in text.split()] or [key_of("", setting)]
