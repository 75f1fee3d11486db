"""Resumable download of a file from the Hugging Face Hub."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from stadkit.errors import WeightsError
from stadkit.zoo.storage import check_space
from stadkit.zoo.weights import sha256

SHA256 = re.compile("[0-9a-f]{64}")


class Fetched(NamedTuple):
    """A downloaded file and its provenance."""

    path: Path
    revision: str  # commit of the repository; empty: no repository
    checked: bool  # whether its sha256 was verified against the server's


def fetch(repo: str, file: str, name: str, folder: Path, again: bool = False) -> Fetched:
    """Get a file of a repository from the Hub's cache, or download it into `folder`.

    name: the model's, for messages. again: ignore the cache and earlier downloads.

    A broken download stays in `folder` as `*.part` and the next call resumes it;
    `hf_hub_download` (2.4) would discard it. Raises WeightsError where the Hub cannot be reached or
    has no such file, and where size or sha256 differ from the Hub's.
    """
    from huggingface_hub import hf_hub_url, try_to_load_from_cache

    cached = None if again else try_to_load_from_cache(repo, file)
    if isinstance(cached, str):
        return _from_cache(Path(cached))
    return _download(lambda commit: hf_hub_url(repo, file, revision=commit), name, folder, again)


def _from_cache(path: Path) -> Fetched:
    """Check a file in the Hub's cache, which names large files by their sha256."""
    blob, revision = path.resolve(), path.parent.name
    known = SHA256.fullmatch(blob.name) is not None
    if known and sha256(blob) != blob.name:
        raise WeightsError(f"{blob}: damaged in the Hub's cache; pull it with --again")
    return Fetched(path, revision, known)


def _download(
    address: Callable[[str | None], str], name: str, folder: Path, again: bool
) -> Fetched:
    """Download a file; `address` maps a commit, or None for the newest, to its URL."""
    from huggingface_hub import get_hf_file_metadata

    url = address(None)
    try:
        # The files are public: the user's token is not sent.
        known = get_hf_file_metadata(url, token=False)
    except Exception as error:
        raise WeightsError(
            f"{url}: {_reason(error)}; try again, or download it in a browser, then "
            f"`stadkit models import FILE --as {name}`"
        ) from error
    tag = known.etag or ""
    # Another version of the file gets another name.
    stem = hashlib.sha256(f"{url} {tag}".encode()).hexdigest()[:16]
    whole = folder / f"{stem}{Path(url).suffix}"
    part = folder / f"{stem}.part"
    folder.mkdir(parents=True, exist_ok=True)
    for old in (whole, part) if again else ():
        old.unlink(missing_ok=True)
    checked = SHA256.fullmatch(tag) is not None
    path = whole if whole.is_file() else part
    if path == part:
        _resume(address(known.commit_hash or None), part, known.size)
    if checked and sha256(path) != tag:
        path.unlink()
        raise WeightsError(
            f"{url}: the download differs from the server's file (sha256); deleted, pull it again"
        )
    os.replace(path, whole)
    return Fetched(whole, known.commit_hash or "", checked)


def _resume(url: str, part: Path, size: int | None) -> None:
    """Download the missing end of `part`, of `size` bytes in all."""
    from huggingface_hub.file_download import http_get

    if size is not None and part.exists() and part.stat().st_size > size:
        part.unlink()
    check_space(part.parent, size or 0, part.stat().st_size if part.exists() else 0)
    try:
        with part.open("ab") as out:
            http_get(url, out, resume_size=out.tell(), expected_size=size)
    except Exception as error:
        kept = part.stat().st_size
        way = f"{kept / 1e6:.1f} MB are kept, pull again to resume" if kept else "pull again"
        raise WeightsError(f"{url}: {_reason(error)}; {way}") from error


def _reason(error: Exception) -> str:
    """The Hub's error message, in one line."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return "offline mode is on (--offline or HF_HUB_OFFLINE); unset it to download"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"cannot be downloaded ({lines[0].rstrip('.') if lines else type(error).__name__})"
