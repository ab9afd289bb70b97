"""The one error tree: every error names the thing, what was found and the mend, and says whether a retry can help.

The command line turns a `LongshoreError` into one line on stderr and its `exit_code`; anything else is a bug and
keeps its traceback.
"""

from __future__ import annotations

EXIT_FAILED = 1
EXIT_USAGE = 2


class LongshoreError(Exception):
    """Root of all expected failures.

    `what` names the thing and what was found; `mend` tells the reader what to do about it.
    """

    exit_code = EXIT_FAILED
    retriable = False

    def __init__(self, what: str, *, mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.what}: {self.mend}" if self.mend else self.what


class ConfigurationError(LongshoreError):
    """A setting, an argument or a file the user named cannot be used (exit 2)."""

    exit_code = EXIT_USAGE


class DataError(LongshoreError):
    """A data file or a set of rows cannot be used: unreadable, a missing column, too few rows."""


class UnavailableError(LongshoreError):
    """A service (Kafka, Redis, the registry, an archive) did not answer; a later try may succeed."""

    retriable = True


class FencedError(LongshoreError):
    """Another process with the same instance id took over; this one must end."""


class AbortedError(LongshoreError):
    """A transaction was aborted and the input rewound: forget everything since the last commit and go on."""

    retriable = True


class FormatError(LongshoreError):
    """A stored format (pane, profile, manifest, snapshot) is newer than this program, or damaged."""


class NewerFormatError(FormatError):
    """Nothing is wrong with what is stored: a newer program wrote it."""


class IntegrityError(LongshoreError):
    """Bytes are not what their sha256 says."""


class SignatureError(IntegrityError):
    """No trusted key vouches for a manifest; `kind`: unsigned, unknown_key or bad_signature."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(what, mend="sign it with a trusted key: docs/models.md")
        self.kind = kind


class ConflictError(LongshoreError):
    """Exclusive creation failed: somebody else created it first."""
