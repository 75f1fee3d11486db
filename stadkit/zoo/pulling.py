"""Weights brought in from where their authors put them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stadkit.errors import UsageError, WeightsError
from stadkit.zoo import drive, hub
from stadkit.zoo.backbones import BACKBONES
from stadkit.zoo.cards import card
from stadkit.zoo.importing import import_file
from stadkit.zoo.weights import drive_page, home, how_to_get, state

UNCHECKED = "no sha256 of the Hub is known for this file: it was compared with none"
UNTOLD = "its server tells no sha256 of this file: it was compared with none"


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
        return _from_drive(name, folder, anyway, again)


def source(name: str) -> str:
    """Where `pull` gets a name from, in words; raises as `pull` does where it is from nowhere."""
    if state(name) == "built in":
        raise UsageError(f"{name} has its weights built in; there is nothing to pull")
    if name in BACKBONES:
        known = BACKBONES[name]
        file = f", {known.file}" if known.repo else ""  # else the address has it
        return f"{known.url}{file}" + (f", about {known.size / 1e6:.0f} MB" if known.size else "")
    if not card(name).drive_id:
        raise WeightsError(f"{name} cannot be pulled: {how_to_get(name)}")
    size = f", {card(name).size / 1e6:.0f} MB" if card(name).size else ""
    return f"{drive_page(card(name).drive_id)}{size}"


def licence(name: str) -> str:
    """The licence of a model's or a backbone's weights."""
    return BACKBONES[name].licence if name in BACKBONES else card(name).licence


def _backbone(name: str, folder: Path, again: bool) -> Path:
    known = BACKBONES[name]
    if known.repo:
        came = hub.fetch(known.repo, known.file, name, folder, again)
    else:
        came = hub.fetch_address(known.address, name, folder, again)
    origin = {
        "source": known.address or f"{known.url}/{known.file}",
        "revision": came.revision,
        "sha256_checked": came.checked,
        "licence": known.licence,
    }
    told = [] if came.checked else [UNCHECKED if known.repo else UNTOLD]
    ours = came.path.parent == folder  # and not the Hub's own cache
    try:
        kept = import_file(came.path, name, origin=origin, known=told)
    except WeightsError:
        if ours:  # it will not be another file the next time
            came.path.unlink()
        raise
    if ours:
        came.path.unlink()
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
