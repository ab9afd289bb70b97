"""Where keys lie: the private key of whoever registers versions, and the public keys that scorers trust.

With nothing set, both are under `home`/keys: `signing.pem` (0600) and one `<key id>.pub` for each key ever made there;
deleting a `.pub` ends the trust in it. A key pair is made once, whoever is first, and is never half there.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path

import structlog

from longshore.config import Settings
from longshore.errors import ConfigurationError, LongshoreError
from longshore.signing import Keyring, Signer, public_keys

PRIVATE = "signing.pem"
PUBLIC = "*.pub"
FOLDER = "keys"

log = structlog.get_logger()


def key_folder(settings: Settings) -> Path:
    """Where keys lie that nobody configured."""
    return settings.home / FOLDER


def signer(settings: Settings) -> Signer:
    """The key this process signs with; made under `home` where none is configured and none is there.

    Raises:
        ConfigurationError: the file cannot be used, or those who trust `signing.trusted` would refuse what it signs.

    """
    path = settings.signing.key or key_folder(settings) / PRIVATE
    if settings.signing.key is None and settings.signing.trusted is None:
        found = create(key_folder(settings))
    else:
        found = _read_private(path)
    if settings.signing.trusted is not None and found.key_id not in read_trusted(settings).keys:
        raise ConfigurationError(
            f"signing.trusted = {settings.signing.trusted} does not hold key {found.key_id} of {path}",
            mend="what it signs would be refused: add its .pub file there, or set signing.key to a trusted one",
        )
    return found


def create(folder: Path, *, replace: bool = False) -> Signer:
    """The key pair of a folder, made if there is none; with `replace` always a new one beside the old public keys.

    Any number of processes may call this at once: they all get the same key. The public key is there before the
    private one is used.

    Raises:
        ConfigurationError: the folder cannot be written, or what lies there is no key.

    """
    private = folder / PRIVATE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if replace:
            made = Signer.generate()
            _write_public(folder, made)
            _write(private, made.to_pem(), 0o600, Path.replace)
        elif not private.exists():
            made = Signer.generate()
            _write_public(folder, made)
            _write(private, made.to_pem(), 0o600, _link)
            if _read_private(private).key_id != made.key_id:  # another process was first
                (folder / f"{made.key_id}.pub").unlink()
        found = _read_private(private)
        if not (folder / f"{found.key_id}.pub").exists():
            # Somebody ended the trust in it: writing it again would undo that behind their back.
            raise ConfigurationError(
                f"{private} is a key that is not trusted any more: {found.key_id}.pub is gone",
                mend="make a new one with `longshore model keygen --rotate`",
            )
    except OSError as error:
        raise ConfigurationError(
            f"key folder {folder}: {error.strerror}",
            mend="name a writable folder with LONGSHORE_HOME, or a key with LONGSHORE_SIGNING__KEY",
        ) from error
    return found


def read_trusted(settings: Settings) -> Keyring:
    """The keys that are trusted now: `signing.trusted`, else the public half of `signing.key`, else `home`/keys.

    Raises:
        ConfigurationError: a file that was named is not there or cannot be read.
        FormatError: a file holds no public key.

    """
    signing = settings.signing
    if signing.trusted is None and signing.key is not None:
        return Keyring.of([_read_private(signing.key).public()], require=signing.require)
    place = signing.trusted or key_folder(settings)
    try:
        paths = sorted(place.glob(PUBLIC)) if place.is_dir() else [place] if signing.trusted else []
        keys = [key for path in paths for key in public_keys(path.read_bytes(), str(path))]
    except OSError as error:
        raise ConfigurationError(
            f"trusted keys {error.filename or place}: {error.strerror}",
            mend="name a .pub file or a folder of them with LONGSHORE_SIGNING__TRUSTED",
        ) from error
    # A place that is there is meant: empty, it trusts nobody, and not everybody.
    return Keyring.of(keys, require=signing.require or signing.trusted is not None or place.is_dir())


class Trust:
    """The trusted keys of a running process, read anew whenever asked: a rotation needs no restart.

    What cannot be read now leaves the last keys in force, and a process that once had keys never goes back to having
    none: an emptied folder must not make it serve unsigned models.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._last = read_trusted(settings)
        self._trouble = ""

    def keyring(self) -> Keyring:
        """The keys that are trusted now."""
        try:
            found = read_trusted(self._settings)
        except LongshoreError as error:
            self._tell(str(error))
            return self._last
        if self._last.enforced and not found.enforced:
            self._tell(f"{key_folder(self._settings)} holds no public key any more: every model will be refused")
            found = Keyring(found.keys, enforced=True)
        else:
            self._trouble = ""
        self._last = found
        return found

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.error("trusted keys", error=trouble)
        self._trouble = trouble


def _read_private(path: Path) -> Signer:
    try:
        return Signer.from_pem(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigurationError(
            f"private key {path}: {error.strerror}", mend="make one with `longshore model keygen`"
        ) from error


def _write_public(folder: Path, key: Signer) -> None:
    target = folder / f"{key.key_id}.pub"
    if not target.exists():
        _write(target, key.public_pem(), 0o644, Path.replace)


def _link(draft: Path, target: Path) -> None:
    """Give the draft its name unless another process was first."""
    try:
        target.hardlink_to(draft)
    except FileExistsError:
        return


def _write(path: Path, data: bytes, mode: int, publish: Callable[[Path, Path], object]) -> None:
    """Write aside, with the rights from the first byte on, then publish under the name."""
    draft = path.with_name(f".{uuid.uuid4().hex}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        publish(draft, path)
    finally:
        draft.unlink(missing_ok=True)
