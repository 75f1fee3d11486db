"""Resumable download of a file from a plain URL.

Servers differ: some do not support ranges, some send no size, some drop connections. Received
bytes stay in a `*.part` file until it is complete and its sha256 has the expected prefix; then it
is renamed. Redirects from https to http are refused.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from stadkit.errors import WeightsError
from stadkit.zoo.storage import check_space, not_written, refuse_offline
from stadkit.zoo.weights import sha256

if TYPE_CHECKING:
    from tqdm import tqdm

CHUNK_BYTES = 1 << 20
TIMEOUT = 30  # seconds without a byte
MAX_TRIES = 5  # consecutive tries without progress
RETRYABLE = (408, 429, 500, 502, 503, 504)  # HTTP statuses that may be temporary
CONNECTION_ERRORS = (OSError, http.client.HTTPException)  # raised by urllib for lost connections
SECURE = "https:"


class Interrupted(Exception):
    """No response, or one that ended early."""

    def __init__(self, reason: str, retry: bool = True) -> None:
        """retry: whether another try may help."""
        super().__init__(reason)
        self.retry = retry


class Response(NamedTuple):
    """A server's response before its body is read."""

    body: http.client.HTTPResponse
    start: int  # offset of the body's first byte
    size: int | None  # bytes of the whole file
    tag: str  # version of the file: ETag or Last-Modified


def fetch(
    url: str, name: str, folder: Path, size: int = 0, prefix: str = "", again: bool = False
) -> Path:
    """Download the file at `url` into `folder`; `name` is the model's, for messages.

    size: bytes, 0 for unknown. prefix: start of its sha256, empty for unknown. again: delete
    earlier downloads of the file first. A broken download resumes, now or at the next call; it
    starts over where the server has no ranges or has changed the file.

    Raises WeightsError when offline, where the server has no such file or keeps dropping the
    connection, where the disk is full or not writable, and for a wrong size or sha256.
    """
    by_hand = f"or download it in a browser, then `stadkit models import FILE --as {name}`"
    folder.mkdir(parents=True, exist_ok=True)
    stem = hashlib.sha256(url.encode()).hexdigest()[:16]
    whole, part = folder / f"{stem}{Path(url).suffix}", folder / f"{stem}.part"
    exists = whole.is_file() and not again
    if not exists:
        refuse_offline(url, by_hand)
    for old in (whole, part) if again else ():
        old.unlink(missing_ok=True)
    try:
        if not exists:
            _download(url, part, size, by_hand)
        _check(url, whole if exists else part, size, prefix)
        os.replace(whole if exists else part, whole)
    except OSError as error:  # from the disk: network errors are handled below
        raise not_written(folder, error) from error
    _tag_path(part).unlink(missing_ok=True)
    return whole


def _download(url: str, part: Path, size: int, by_hand: str) -> None:
    """Download the missing end of `part`, reconnecting after failures."""
    tries_left, furthest = MAX_TRIES, _length(part)
    while True:
        try:
            return _resume(url, part, size)
        except Interrupted as error:
            # A server without ranges may always break at the same byte: only new bytes count.
            tries_left = MAX_TRIES if _length(part) > furthest else tries_left - 1
            furthest = max(furthest, _length(part))
            if tries_left and error.retry:
                time.sleep(2.0 ** (MAX_TRIES - 1 - tries_left))  # 1, 2, 4, 8 seconds
                continue
            kept = _length(part)
            way = f"{kept / 1e6:.1f} MB are kept, pull again to resume" if kept else "pull again"
            raise WeightsError(f"{url}: {error}; {way}, {by_hand}") from error


def _resume(url: str, part: Path, size: int) -> None:
    """Append the missing bytes to `part` over one connection; raises Interrupted if it breaks."""
    response = _request(url, part)
    if response is None:  # already complete
        return
    with response.body as body:
        check_space(part.parent, response.size or size, response.start)
        _tag_path(part).write_text(response.tag, "utf-8")
        with part.open("r+b" if response.start else "wb") as out:
            out.seek(response.start)
            with _progress_bar(url, response) as bar:
                while chunk := _read_chunk(body):
                    out.write(chunk)
                    bar.update(len(chunk))
    if response.size is not None and _length(part) < response.size:
        raise Interrupted(f"broke off at {_length(part)} of {response.size} bytes")


def _read_chunk(body: http.client.HTTPResponse) -> bytes:
    try:
        return body.read1(CHUNK_BYTES)
    except CONNECTION_ERRORS as error:
        raise Interrupted(f"broke off ({_reason(error)})") from error


def _request(url: str, part: Path) -> Response | None:
    """Request the missing bytes; None where none are missing. Raises Interrupted, WeightsError."""
    received, tag = _length(part), _tag(part)
    headers = {"User-Agent": "stadkit", "Accept-Encoding": "identity"}
    if received:
        headers["Range"] = f"bytes={received}-"
        if tag:
            headers["If-Range"] = tag  # a changed file is sent whole
    try:
        opener = urllib.request.build_opener(HttpsOnlyRedirect)
        body = opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        _check_complete(part, error)
        return None
    except CONNECTION_ERRORS as error:
        raise Interrupted(f"cannot be reached ({_reason(error)})") from error
    response = _response(url, body, received)
    if response.start and tag and response.tag not in ("", tag):
        body.close()
        part.unlink()
        raise Interrupted("the file has changed since the download began")
    return response


def _check_complete(part: Path, error: urllib.error.HTTPError) -> None:
    """Raise Interrupted, unless the server says that `part` is already complete."""
    reason = f"cannot be downloaded ({error.code} {error.reason})"
    error.close()
    total = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
    if error.code == 416 and total and int(total[1]) == _length(part):
        return
    if error.code == 416:  # `part` is longer than the file, so the file has changed
        part.unlink()
        raise Interrupted("the partial download belongs to another file") from error
    raise Interrupted(reason, retry=error.code in RETRYABLE) from error


def _response(url: str, body: http.client.HTTPResponse, received: int) -> Response:
    """Parse a response's headers; raises WeightsError for a web page."""
    headers = body.headers
    if headers.get_content_type() == "text/html":
        body.close()
        raise WeightsError(
            f"{url}: got a web page, not a file; open it in a browser (a network's log-in page?)"
        )
    length = int(headers["Content-Length"]) if headers.get("Content-Length", "").isdigit() else None
    tag = headers.get("ETag") or headers.get("Last-Modified") or ""
    tag = "" if tag.startswith("W/") else tag  # weak tags are not valid for ranges
    content_range = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
    if body.status != 206:
        return Response(body, 0, length, tag)
    if not content_range or int(content_range[1]) != received:
        body.close()
        raise Interrupted("the server sent other bytes than requested", retry=False)
    size = int(content_range[2]) if content_range[2] != "*" else None
    return Response(body, received, size, tag)


def _check(url: str, path: Path, size: int, prefix: str) -> None:
    """Delete a download that is not the expected file, and raise WeightsError."""
    received = _length(path)
    wrong = f"{received} of {size} bytes" if size and received != size else ""
    if not wrong and prefix and not (found := sha256(path)).startswith(prefix.lower()):
        wrong = f"its sha256 is {found[:16]}..., not {prefix.lower()}..."
    if not wrong and not received:
        wrong = "empty"
    if wrong:
        path.unlink()
        _tag_path(path).unlink(missing_ok=True)
        raise WeightsError(
            f"{url}: the download is not the released file ({wrong}); deleted, pull it again"
        )


def _progress_bar(url: str, response: Response) -> tqdm[Any]:
    from tqdm import tqdm

    return tqdm(
        desc=url.rpartition("/")[2][-40:],
        total=response.size,
        initial=response.start,
        unit="B",
        unit_scale=True,
        disable=not sys.stderr.isatty(),
    )


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _tag_path(part: Path) -> Path:
    """The file that keeps the version tag of a partial download."""
    return part.with_suffix(".tag")


def _tag(part: Path) -> str:
    path = _tag_path(part)
    return path.read_text("utf-8").strip() if path.is_file() else ""


def _reason(error: BaseException) -> str:
    """The reason of a connection error, in one line."""
    reason = getattr(error, "reason", error)
    lines = str(reason).strip().splitlines()
    return lines[0] if lines else type(reason).__name__


class HttpsOnlyRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses every redirect from https to http.

    Checking only the final URL is not enough: an attacker on one plain hop chooses the rest.
    """

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Follow the redirect as the base class does; raises WeightsError for https -> http."""
        if req.full_url.startswith(SECURE) and not newurl.startswith(SECURE):
            fp.close()
            raise WeightsError(
                f"{req.full_url}: redirects to {newurl}, which is not encrypted; not downloaded"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)
