"""Signed webhooks in the way of Standard Webhooks 1.0 (standardwebhooks.com), symmetric: HMAC-SHA256. Pure.

What is signed is `id.timestamp.body`; the header holds one `v1,<base64>` for each secret, apart by blanks. A receiver
needs one of the secrets, compares in constant time, and refuses a timestamp that is far off.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

from longshore.errors import ConfigurationError

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64
"""Bytes of a secret, as the specification has it."""

TOLERANCE_S = 300
"""How far a message's timestamp may be from the receiver's clock: what the specification's libraries allow."""


def key_of(secret: str, setting: str) -> bytes:
    """The key in `whsec_<base64>`.

    Raises:
        ConfigurationError: it is no base64, or shorter or longer than 24 to 64 bytes. The secret is not quoted.

    """
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not SHORTEST <= len(key) <= LONGEST:
        raise ConfigurationError(
            f"{setting} is not {PREFIX} and {SHORTEST} to {LONGEST} bytes as base64",
            mend=f'make one: echo "{PREFIX}$(openssl rand -base64 32)"',
        )
    return key


def signature(keys: Sequence[bytes], message_id: str, timestamp_s: int, body: bytes) -> str:
    """The header `webhook-signature`: one signature for each key."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    made = (base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys)
    return " ".join(f"v1,{one}" for one in made)


def headers(keys: Sequence[bytes], message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The three headers of a signed message; `timestamp_s` is the try's (seconds since epoch)."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": signature(keys, message_id, timestamp_s, body),
    }


def verify(
    secret: str, headers: Mapping[str, str], body: bytes, *, now_s: float, tolerance_s: float = TOLERANCE_S
) -> bool:
    """For a receiver: whether `body` is what a holder of `secret` signed, not longer than `tolerance_s` ago.

    `headers` by their names in lower case. What was accepted before under the same `webhook-id` is the receiver's to
    drop.
    """
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or not re.fullmatch(r"[0-9]{1,15}", timestamp) or abs(now_s - int(timestamp)) > tolerance_s:
        return False
    expected = signature([key_of(secret, "the secret")], message_id, int(timestamp), body).encode()
    given = headers.get("webhook-signature", "").encode().split()
    return any(hmac.compare_digest(expected, one) for one in given)
