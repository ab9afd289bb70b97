"""A signature fits one manifest and one key; whatever comes instead of one is refused in words, never with a crash."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from longshore.errors import FormatError, SignatureError
from longshore.signing import SIGNATURE, Keyring, Signer, canonical, key_id, public_keys

SIGNER, OTHER = Signer.generate(), Signer.generate()
TRUSTED = Keyring.of([SIGNER.public()])

scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=True) | st.text(max_size=9)
values = st.recursive(scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(max_size=5), v, max_size=3))
documents = st.dictionaries(st.text(max_size=8).filter(lambda key: key != SIGNATURE), values, max_size=6)


def stored(document: dict[str, Any]) -> dict[str, Any]:
    """As it comes back from its file: other key order, other spacing, NaN as null."""
    import msgspec

    turned = dict(reversed(json.loads(msgspec.json.encode(document)).items()))
    return dict(json.loads(json.dumps(turned, indent=3)))


@given(documents)
def test_a_signed_manifest_verifies_after_its_way_through_a_file(document: dict[str, Any]) -> None:
    signed = document | {SIGNATURE: SIGNER.sign(document)}
    assert TRUSTED.verify(stored(signed)) == SIGNER.key_id


@given(documents, documents)
def test_a_signature_fits_no_other_manifest(document: dict[str, Any], other: dict[str, Any]) -> None:
    if canonical(document) == canonical(other):
        return
    with pytest.raises(SignatureError) as caught:
        TRUSTED.verify(other | {SIGNATURE: SIGNER.sign(document)})
    assert caught.value.kind == "bad_signature"


@given(documents, st.integers(0, 511))
def test_every_bit_of_a_signature_counts(document: dict[str, Any], bit: int) -> None:
    import base64

    signature = SIGNER.sign(document)
    raw = bytearray(base64.b64decode(signature["value"]))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SignatureError):
        TRUSTED.verify(document | {SIGNATURE: signature | {"value": base64.b64encode(raw).decode()}})


@given(documents, values, st.lists(values, max_size=2))
def test_whatever_stands_for_a_signature_is_refused_in_words(
    document: dict[str, Any], found: Any, further: list[Any]
) -> None:
    with pytest.raises(SignatureError) as caught:
        TRUSTED.verify(document | {SIGNATURE: found}, further)
    assert caught.value.kind in ("unsigned", "unknown_key", "bad_signature")


@given(documents)
def test_a_stranger_s_signature_is_named(document: dict[str, Any]) -> None:
    with pytest.raises(SignatureError, match=OTHER.key_id) as caught:
        TRUSTED.verify(document | {SIGNATURE: OTHER.sign(document)})
    assert caught.value.kind == "unknown_key"


def test_one_good_signature_among_others_is_enough() -> None:
    document = {"version": "v1"}
    assert TRUSTED.verify(document | {SIGNATURE: OTHER.sign(document)}, [None, SIGNER.sign(document)]) == SIGNER.key_id


def test_a_broken_signature_of_a_trusted_key_says_more_than_a_stranger_s() -> None:
    document = {"version": "v1"}
    with pytest.raises(SignatureError) as caught:
        TRUSTED.verify(document, [OTHER.sign(document), SIGNER.sign({"version": "v2"})])
    assert caught.value.kind == "bad_signature"


def test_any_key_makes_signatures_obligatory_and_require_does_without_one() -> None:
    assert TRUSTED.enforced
    assert not Keyring.of([]).enforced
    assert Keyring.of([], require=True).enforced


def test_keys_come_back_from_their_files() -> None:
    assert Signer.from_pem(SIGNER.to_pem(), "x").key_id == SIGNER.key_id
    both = SIGNER.public_pem() + b"\n# the next one\n" + OTHER.public_pem()
    assert [key_id(key) for key in public_keys(both, "x")] == [SIGNER.key_id, OTHER.key_id]


EC = generate_private_key(SECP256R1())
NOT_PRIVATE = {
    "nothing": b"",
    "text": b"secret-words",
    "public": SIGNER.public_pem(),
    "other kind": EC.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    "cut": SIGNER.to_pem()[:-40],
}
NOT_PUBLIC = {
    "nothing": b"",
    "text": b"secret-words",
    "private": SIGNER.to_pem(),
    "other kind": EC.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
}


@pytest.mark.parametrize("data", NOT_PRIVATE.values(), ids=NOT_PRIVATE)
def test_what_is_no_private_key_is_an_error_that_quotes_nothing(data: bytes) -> None:
    with pytest.raises(FormatError, match="the-file") as caught:
        Signer.from_pem(data, "the-file")
    _quotes_nothing(str(caught.value), data)


@pytest.mark.parametrize("data", NOT_PUBLIC.values(), ids=NOT_PUBLIC)
def test_what_is_no_public_key_is_an_error_that_quotes_nothing(data: bytes) -> None:
    with pytest.raises(FormatError, match="the-file") as caught:
        public_keys(data, "the-file")
    _quotes_nothing(str(caught.value), data)


def _quotes_nothing(text: str, data: bytes) -> None:
    body = [line for line in data.decode().splitlines() if not line.startswith("-----")]
    assert not any(line in text for line in body if line)


def test_a_private_key_is_not_in_its_repr() -> None:
    body = SIGNER.to_pem().decode().splitlines()[1]
    assert body not in repr(SIGNER) + str(vars(SIGNER))
