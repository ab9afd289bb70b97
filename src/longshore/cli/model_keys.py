"""`longshore model keygen, keys, sign`: the key pair of whoever trains, who is trusted here, signing afterwards.

A private key is written to its file and nowhere else: not to stdout, not to a log.
"""

from __future__ import annotations

from pathlib import Path

import click

from longshore.cli.app import App, output_option, pass_app, print_json
from longshore.cli.model_names import opened, require_some, resolve
from longshore.errors import ConfigurationError, FormatError, SignatureError
from longshore.key_files import PRIVATE, create, key_folder, read_trusted, signer
from longshore.registry import Registry


@click.command("keygen")
@click.option("--to", type=click.Path(path_type=Path), help="Folder of the pair [<home>/keys].")
@click.option("--rotate", is_flag=True, help="Replace the private key there; the old public keys stay.")
@output_option
@pass_app
def generate(app: App, to: Path | None, rotate: bool, output: str) -> None:
    """Make a key pair: signing.pem for whoever trains, <key id>.pub for whoever serves.

    `longshore train` does it by itself where no key is configured. Rotation, step by step: docs/models.md.
    """
    folder = to or key_folder(app.settings)
    if (folder / PRIVATE).exists() and not rotate:
        raise ConfigurationError(f"{folder / PRIVATE} exists", mend="keep it, or replace it with --rotate")
    made = create(folder, replace=rotate)
    found = {
        "key_id": made.key_id,
        "private": str((folder / PRIVATE).absolute()),
        "public": str((folder / f"{made.key_id}.pub").absolute()),
    }
    if output == "json":
        print_json(found)
        return
    for name, value in found.items():
        click.echo(f"{name:8} {value}")


@click.command("keys")
@output_option
@pass_app
def list_keys(app: App, output: str) -> None:
    """The keys whose signatures are trusted here, and whether a signature is demanded."""
    keyring = read_trusted(app.settings)
    if output == "json":
        print_json({"trusted": sorted(keyring.keys), "enforced": keyring.enforced})
        return
    for key in sorted(keyring.keys):
        click.echo(key)
    if not keyring.enforced:
        click.echo("no key is trusted here: models are served unsigned, by sha256 alone", err=True)


@click.command("sign")
@click.argument("versions", metavar="[VERSION]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every version that a key trusted here has signed already.")
@output_option
@pass_app
def sign(app: App, versions: tuple[str, ...], everything: bool, output: str) -> None:
    """Put a signature by the present key beside versions, which themselves never change.

    --all is for a new key: it takes over what the old ones vouch for. What nobody has signed is signed by name only,
    since it may be a stranger's: sign what you know to be yours (docs/models.md). Files are compared with their sha256
    first.
    """
    if bool(versions) == everything:
        raise ConfigurationError("give either VERSION or --all", mend="name versions, or all")
    registry, key = opened(app), signer(app.settings)
    wanted = [resolve(registry, version)[0] for version in versions] or registry.versions()
    require_some(registry, wanted)
    refused = {name: found for name in wanted if (found := registry.verify(name))}
    if everything:
        refused |= {
            name: [f"{'; '.join(found)}; if it is yours, sign it by name"]
            for name in wanted
            if name not in refused and (found := objection(app, registry, name))
        }
    done = [name for name in wanted if name not in refused]
    for name in done:
        registry.notes.sign(name, registry.manifest(name), key)
    if output == "json":
        print_json({"key_id": key.key_id, "signed": done, "refused": refused})
    else:
        click.echo(f"signed by {key.key_id}: {', '.join(done) or 'none'}")
        for name, found in refused.items():
            click.echo(f"not signed: {name}: {'; '.join(found)}", err=True)
    if refused:
        raise click.exceptions.Exit(1)


def objection(app: App, registry: Registry, version: str) -> list[str]:
    """Why a scorer with these settings would refuse a version's signature; empty where it would not."""
    keyring = read_trusted(app.settings)
    if not keyring.enforced:
        return []
    try:
        keyring.verify(registry.manifest(version), registry.notes.signatures(version))
    except (SignatureError, FormatError) as error:
        return [error.what]
    return []
