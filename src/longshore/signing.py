"""Signed manifests: Ed25519 over what a manifest says, whoever made it trusted by key. The only user of `cryptography`.

Decides what is signed (the manifest without its signature, as canonical JSON) and whether one of the signatures at
hand is good and by a trusted key. Where keys lie is `longshore.key_files`' decision, what a refusal leads to the
scorer's. A manifest names its model, its version and the sha256 and size of each file, so a good signature binds all
of them: bytes of another version, or of another model, do not fit.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from longshore.errors import FormatError, SignatureError

SCHEME = "ed25519"
SIGNATURE = "signature"
"""The field of a manifest that holds its signature, and the only one that is not signed."""

_DOMAIN = b"longshore model manifest\n"
"""In front of what is signed: no signature made for anything else with the same key fits a manifest."""

_PEM = re.compile(rb"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----", re.DOTALL)


class Signer:
    """A private key. It is never shown: not by `repr`, not in an error, not in a log."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.key_id = key_id(key.public_key())

    @classmethod
    def generate(cls) -> Signer:
        """A new key from the system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, data: bytes, where: str) -> Signer:
        """The key in an unencrypted PEM file (PKCS #8).

        Raises:
            FormatError: that is not one. The message holds nothing of the file.

        """
        try:
            key = load_pem_private_key(data, password=None)
        except Exception:  # many kinds; their texts may quote the file, so none is passed on
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise FormatError(
                f"{where} holds no unencrypted Ed25519 private key", mend="make one with `longshore model keygen`"
            )
        return cls(key)

    def to_pem(self) -> bytes:
        """The private key, for its file."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def public_pem(self) -> bytes:
        """The public half, for those who trust it."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def public(self) -> Ed25519PublicKey:
        """The public half."""
        return self._key.public_key()

    def sign(self, manifest: Mapping[str, Any]) -> dict[str, str]:
        """The signature object of a manifest."""
        value = self._key.sign(canonical(manifest))
        return {"scheme": SCHEME, "key_id": self.key_id, "value": base64.b64encode(value).decode()}


@dataclass(frozen=True, slots=True)
class Keyring:
    """The public keys that are trusted, by id. `enforced`: whatever is not signed by one of them is refused."""

    keys: Mapping[str, Ed25519PublicKey]
    enforced: bool

    @classmethod
    def of(cls, keys: Iterable[Ed25519PublicKey], *, require: bool = False) -> Keyring:
        """Any trusted key makes signatures obligatory; `require` does so even where there is none."""
        found = {key_id(key): key for key in keys}
        return cls(found, require or bool(found))

    def verify(self, manifest: Mapping[str, Any], further: Sequence[Any] = ()) -> str:
        """The id of the trusted key that signed a manifest, in itself or in a detached signature (`further`).

        Raises:
            SignatureError: nobody trusted did, and why.

        """
        at_hand = [found for found in (manifest.get(SIGNATURE), *further) if found is not None]
        if not at_hand:
            raise SignatureError("unsigned", "the manifest is not signed")
        signed = _canonical_or_none(manifest)
        objections = []
        for signature in at_hand:
            objection = self._objection(signature, signed)
            if objection is None:
                return str(signature["key_id"])
            objections.append(objection)
        # A trusted key's broken signature says more than a stranger's: name it first.
        raise min(objections, key=lambda error: error.kind != "bad_signature")

    def _objection(self, signature: Any, signed: bytes | None) -> SignatureError | None:
        if not isinstance(signature, dict) or signature.get("scheme") != SCHEME:
            return SignatureError("bad_signature", f"the signature's scheme is not {SCHEME}")
        name = signature.get("key_id")
        key = self.keys.get(name) if isinstance(name, str) else None
        if key is None:
            trusted = ", ".join(sorted(self.keys)) or "none"
            return SignatureError("unknown_key", f"signed by key {str(name)[:32]!r}; trusted: {trusted}")
        try:
            value = base64.b64decode(str(signature.get("value")), validate=True)
            if signed is not None:
                key.verify(value, signed)
                return None
        except (InvalidSignature, binascii.Error, ValueError):
            pass
        return SignatureError("bad_signature", f"the signature by key {name} does not fit the manifest")


def key_id(key: Ed25519PublicKey) -> str:
    """Sixteen hex digits that name a key; nothing secret."""
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def public_keys(data: bytes, where: str) -> list[Ed25519PublicKey]:
    """The public keys of a PEM file, one or several after another.

    Raises:
        FormatError: there is none, or something else.

    """
    found = []
    for block in _PEM.findall(data):
        try:
            key: Any = load_pem_public_key(block)
        except Exception:  # see `Signer.from_pem`: this may be a private key by mistake
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise FormatError(f"{where} holds something else than Ed25519 public keys", mend="give the .pub file")
        found.append(key)
    if not found:
        raise FormatError(f"{where} holds no public key", mend="give the .pub file of `longshore model keygen`")
    return found


def canonical(manifest: Mapping[str, Any]) -> bytes:
    """The bytes that are signed: compact JSON without the signature, keys in order.

    Values go through JSON once before: what is signed is what a reader of the file will see (NaN is null there).
    """
    seen = msgspec.json.decode(msgspec.json.encode({k: v for k, v in manifest.items() if k != SIGNATURE}))
    return _DOMAIN + msgspec.json.encode(seen, order="deterministic")


def _canonical_or_none(manifest: Mapping[str, Any]) -> bytes | None:
    try:
        return canonical(manifest)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return None
