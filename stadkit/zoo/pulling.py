"""Weights brought in from where their authors put them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stadkit.errors import UsageError, WeightsError
from stadkit.zoo import drive, http, hub
from stadkit.zoo.backbones import BACKBONES
from stadkit.zoo.cards import card
from stadkit.zoo.importing import import_file, is_refused
from stadkit.zoo.weights import drive_page, home, how_to_get, state

UNCHECKED = "no sha256 of the Hub is known for this file: it was compared with none"
UNTOLD = "no sha256 was released with this file: it was compared with none"


def pull(name: str, anyway: bool = False, again: bool = False) -> Path:
    """Download the weights of a model or backbone and import them; gives the file they are now.

    A broken download goes on where it ended when it is pulled again. anyway: as `import_file`
    has it. again: from the start: what earlier downloads left here goes, a refused file too.

    Raises UsageError for an unknown name or one that is built in, and WeightsError where
    nothing was released, nothing came, or what came is not what it should be.
    """
    source(name)
    folder = home() / "downloads"
    with _alone(name, folder):
        if name in BACKBONES:
            return _backbone(name, folder, again)
        if card(name).url:
            return _from_address(name, folder, anyway, again)
        return _from_drive(name, folder, anyway, again)


def source(name: str) -> str:
    """Where `pull` gets a name from, in words; raises as `pull` does where it is from nowhere."""
    if state(name) == "built in":
        raise UsageError(f"{name} has its weights built in; there is nothing to pull")
    if name in BACKBONES:
        known = BACKBONES[name]
        file = f", {known.file}" if known.repo else ""  # else the address has it
        return f"{known.url}{file}" + (f", about {known.size / 1e6:.0f} MB" if known.size else "")
    held = card(name)
    if not held.url and not held.drive_id:
        raise WeightsError(f"{name} cannot be pulled: {how_to_get(name)}")
    size = f", {held.size / 1e6:.0f} MB" if held.size else ""
    return f"{held.url or drive_page(held.drive_id)}{size}"


def anew(name: str) -> str:
    """What brings weights again where those here are damaged, in words."""
    if name in BACKBONES or card(name).url or card(name).drive_id:
        return f"`stadkit models pull {name} --again`"
    return f"`stadkit models import FILE --as {name}`"


def licence(name: str) -> str:
    """The licence of a model's or a backbone's weights."""
    return BACKBONES[name].licence if name in BACKBONES else card(name).licence


def _backbone(name: str, folder: Path, again: bool) -> Path:
    known = BACKBONES[name]
    if known.repo:
        came = hub.fetch(known.repo, known.file, name, folder, again)
    else:
        came = hub.Fetched(http.fetch(known.address, name, folder, again=again), "", False)
    origin = {
        "source": known.address or f"{known.url}/{known.file}",
        "revision": came.revision,
        "sha256_checked": came.checked,
        "licence": known.licence,
    }
    told = [] if came.checked else [UNCHECKED if known.repo else UNTOLD]
    if came.path.parent != folder:  # the Hub's own cache
        return import_file(came.path, name, origin=origin, known=told)
    return _take_in(came.path, name, False, origin, told)


def _from_address(name: str, folder: Path, anyway: bool, again: bool) -> Path:
    known = card(name)
    came = http.fetch(known.url, name, folder, known.size, known.sha256_prefix, again)
    origin = {
        "source": known.url,
        "sha256_checked": bool(known.sha256_prefix),
        "licence": known.licence,
    }
    return _take_in(came, name, anyway, origin, [] if known.sha256_prefix else [UNTOLD])


def _take_in(
    came: Path, name: str, anyway: bool, origin: Mapping[str, Any], told: Sequence[str]
) -> Path:
    """Import a download, which is not needed then.

    Where it is not kept for a full disk, or is one that `anyway` takes, it stays for the next pull.
    """
    try:
        kept = import_file(came, name, anyway, origin, told)
    except WeightsError:
        if is_refused(came, name):
            came.unlink()  # so that the next pull asks for it again
        raise
    came.unlink()
    return kept


def _from_drive(name: str, folder: Path, anyway: bool, again: bool) -> Path:
    known = card(name)
    came = drive.fetch(known.drive_id, name, folder, known.size, again)
    origin = {"source": drive_page(known.drive_id), "licence": known.licence}
    # Where it is refused it stays, until `again`: the user may want it under another name.
    kept = import_file(came, name, anyway, origin)
    came.unlink()
    return kept


@contextmanager
def _alone(name: str, folder: Path) -> Iterator[None]:
    """Nobody else pulls this name meanwhile; raises WeightsError where somebody does."""
    from filelock import FileLock, Timeout  # comes with torch and huggingface-hub

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise WeightsError(f"{name}: another process is pulling it; wait for that one") from None
    try:
        yield
    finally:
        lock.release()
