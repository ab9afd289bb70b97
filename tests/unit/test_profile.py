"""A profile's bytes: versioned, and refused clearly when they are not ours."""

import msgspec
import pytest

from longshore.errors import FormatError
from longshore.profile import Profile


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b"[]", b'{"format":1}'])
def test_damaged_bytes_are_refused(data):
    with pytest.raises(FormatError, match="damaged"):
        Profile.from_bytes(data)


def test_a_newer_format_is_refused():
    with pytest.raises(FormatError, match="format 3"):
        Profile.from_bytes(msgspec.json.encode({"format": 3}))
