"""Download released weights and import them."""

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

NO_HUB_SHA256 = "not verified: the Hub gives no sha256 for this file"
NO_RELEASED_SHA256 = "not verified: no sha256 was released with this file"


def pull(name: str, anyway: bool = False, again: bool = False) -> Path:
    """Download the weights of a model or backbone and import them; returns the imported file.

    Pulling again resumes a broken download. anyway: as in `import_file`. again: delete earlier
    downloads first, including a refused file.

    Raises UsageError for an unknown or built-in name, and WeightsError where nothing was released,
    the download fails, or the file is not the expected one.
    """
    source(name)
    folder = home() / "downloads"
    with _exclusive(name, folder):
        if name in BACKBONES:
            return _backbone(name, folder, again)
        if card(name).url:
            return _from_address(name, folder, anyway, again)
        return _from_drive(name, folder, anyway, again)


def source(name: str) -> str:
    """Describe where `pull` downloads a name from; raises like `pull` where it cannot."""
    if state(name) == "built in":
        raise UsageError(f"{name} has built-in weights; there is nothing to pull")
    if name in BACKBONES:
        known = BACKBONES[name]
        file = f", {known.file}" if known.repo else ""  # otherwise the URL includes it
        return f"{known.url}{file}" + (f", about {known.size / 1e6:.0f} MB" if known.size else "")
    held = card(name)
    if not held.url and not held.drive_id:
        raise WeightsError(f"{name} cannot be pulled: {how_to_get(name)}")
    size = f", {held.size / 1e6:.0f} MB" if held.size else ""
    return f"{held.url or drive_page(held.drive_id)}{size}"


def restore_command(name: str) -> str:
    """The command that replaces damaged weights."""
    if name in BACKBONES or card(name).url or card(name).drive_id:
        return f"`stadkit models pull {name} --again`"
    return f"`stadkit models import FILE --as {name}`"


def licence(name: str) -> str:
    """The licence of a model's or a backbone's weights."""
    return BACKBONES[name].licence if name in BACKBONES else card(name).licence


def _backbone(name: str, folder: Path, again: bool) -> Path:
    known = BACKBONES[name]
    if known.repo:
        fetched = hub.fetch(known.repo, known.file, name, folder, again)
    else:
        fetched = hub.Fetched(http.fetch(known.address, name, folder, again=again), "", False)
    origin = {
        "source": known.address or f"{known.url}/{known.file}",
        "revision": fetched.revision,
        "sha256_checked": fetched.checked,
        "licence": known.licence,
    }
    warnings = [] if fetched.checked else [NO_HUB_SHA256 if known.repo else NO_RELEASED_SHA256]
    if fetched.path.parent != folder:  # the Hub's own cache
        return import_file(fetched.path, name, origin=origin, warnings=warnings)
    return _import_download(fetched.path, name, False, origin, warnings)


def _from_address(name: str, folder: Path, anyway: bool, again: bool) -> Path:
    known = card(name)
    path = http.fetch(known.url, name, folder, known.size, known.sha256_prefix, again)
    origin = {
        "source": known.url,
        "sha256_checked": bool(known.sha256_prefix),
        "licence": known.licence,
    }
    warnings = [] if known.sha256_prefix else [NO_RELEASED_SHA256]
    return _import_download(path, name, anyway, origin, warnings)


def _import_download(
    path: Path, name: str, anyway: bool, origin: Mapping[str, Any], warnings: Sequence[str]
) -> Path:
    """Import a download and delete it.

    It stays for the next pull where the disk is full or `anyway` would accept it.
    """
    try:
        kept = import_file(path, name, anyway, origin, warnings)
    except WeightsError:
        if is_refused(path, name):
            path.unlink()  # so that the next pull downloads it again
        raise
    path.unlink()
    return kept


def _from_drive(name: str, folder: Path, anyway: bool, again: bool) -> Path:
    known = card(name)
    path = drive.fetch(known.drive_id, name, folder, known.size, again)
    origin = {"source": drive_page(known.drive_id), "licence": known.licence}
    # A refused file stays until `again`: the user may want it under another name.
    kept = import_file(path, name, anyway, origin)
    path.unlink()
    return kept


@contextmanager
def _exclusive(name: str, folder: Path) -> Iterator[None]:
    """Lock this name against other processes; raises WeightsError where one is pulling it."""
    from filelock import FileLock, Timeout  # comes with torch and huggingface-hub

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise WeightsError(f"{name}: another process is pulling it; wait until it ends") from None
    try:
        yield
    finally:
        lock.release()
