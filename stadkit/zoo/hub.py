"""A file of the Hugging Face Hub, fetched in pieces that outlive the process."""

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
    """A file that came, and what is known of it."""

    path: Path
    revision: str  # commit of the repository; empty: no repository
    checked: bool  # whether its sha256 is what its server says


def fetch(repo: str, file: str, name: str, folder: Path, again: bool = False) -> Fetched:
    """A file of a repository, from the Hub's cache or downloaded into `folder`.

    name: the model's, for what is said. again: downloaded from the start, whatever is here.

    What a broken download has brought stays in `folder` as `*.part`, and the next call goes on
    from there: `hf_hub_download` (2.4) throws it away. Raises WeightsError where the Hub cannot
    be reached or has no such file, and where size or sha256 are not as the Hub says.
    """
    from huggingface_hub import hf_hub_url, try_to_load_from_cache

    cached = None if again else try_to_load_from_cache(repo, file)
    if isinstance(cached, str):
        return _from_cache(Path(cached))
    return _download(lambda commit: hf_hub_url(repo, file, revision=commit), name, folder, again)


def _from_cache(path: Path) -> Fetched:
    """A file of the Hub's cache, which names large files by their sha256."""
    blob, revision = path.resolve(), path.parent.name
    known = SHA256.fullmatch(blob.name) is not None
    if known and sha256(blob) != blob.name:
        raise WeightsError(f"{blob}: damaged in the Hub's cache; pull it with --again")
    return Fetched(path, revision, known)


def _download(
    address: Callable[[str | None], str], name: str, folder: Path, again: bool
) -> Fetched:
    """The file at the `address` of a commit, or of the newest (None)."""
    from huggingface_hub import get_hf_file_metadata

    url = address(None)
    try:
        # The files are public: no token of the user's goes out.
        known = get_hf_file_metadata(url, token=False)
    except Exception as error:
        raise WeightsError(
            f"{url}: {_reason(error)}; try again, or download it in a browser, then "
            f"`stadkit models import FILE --as {name}`"
        ) from error
    tag = known.etag or ""
    # The name tells one version of the file from the next.
    stem = hashlib.sha256(f"{url} {tag}".encode()).hexdigest()[:16]
    whole = folder / f"{stem}{Path(url).suffix}"
    part = folder / f"{stem}.part"
    folder.mkdir(parents=True, exist_ok=True)
    for old in (whole, part) if again else ():
        old.unlink(missing_ok=True)
    checked = SHA256.fullmatch(tag) is not None
    came = whole if whole.is_file() else part
    if came == part:
        _go_on(address(known.commit_hash or None), part, known.size)
    if checked and sha256(came) != tag:
        came.unlink()
        raise WeightsError(
            f"{url}: what came is not what its server has (another sha256); deleted, pull it again"
        )
    os.replace(came, whole)
    return Fetched(whole, known.commit_hash or "", checked)


def _go_on(url: str, part: Path, size: int | None) -> None:
    """Download what `part` still lacks of its `size` bytes."""
    from huggingface_hub.file_download import http_get

    if size is not None and part.exists() and part.stat().st_size > size:
        part.unlink()
    check_space(part.parent, size or 0, part.stat().st_size if part.exists() else 0)
    try:
        with part.open("ab") as out:
            http_get(url, out, resume_size=out.tell(), expected_size=size)
    except Exception as error:
        here = part.stat().st_size
        kept = f"{here / 1e6:.1f} MB are here, pull again to go on" if here else "pull again"
        raise WeightsError(f"{url}: {_reason(error)}; {kept}") from error


def _reason(error: Exception) -> str:
    """The Hub's complaint, in one line."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled):
        return "offline mode is on (--offline or HF_HUB_OFFLINE); unset it to download"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"cannot be fetched ({lines[0].rstrip('.') if lines else type(error).__name__})"
