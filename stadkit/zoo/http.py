"""A file at a plain address, fetched in pieces that outlive the process.

Plain servers differ: some cannot start in the middle, some tell no size, some break off. What
came lies in a `*.part` until it is whole and its sha256 begins as it should; then it is renamed.

Addresses followed without leaving encryption.
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

PIECE = 1 << 20  # bytes read at once
TIMEOUT = 30  # seconds without a byte
TRIES = 5  # in a row that bring no byte
PASSING = (408, 429, 500, 502, 503, 504)  # answers that may be better in a moment
BROKEN = (OSError, http.client.HTTPException)  # what urllib raises where a connection breaks
SECURE = "https:"  # how addresses begin whose answers nobody changes on the way


class Stopped(Exception):
    """No answer, or one that ended before its time."""

    def __init__(self, told: str, worth: bool = True) -> None:
        """worth: another try."""
        super().__init__(told)
        self.worth = worth


class Answer(NamedTuple):
    """What a server says before the bytes come."""

    body: http.client.HTTPResponse
    start: int  # the first byte that comes
    size: int | None  # of the whole file
    tag: str  # of this version of it


def fetch(
    url: str, name: str, folder: Path, size: int = 0, prefix: str = "", again: bool = False
) -> Path:
    """The file at `url`, in `folder`; `name` is the model's, for what is said.

    size: bytes, 0 for unknown. prefix: how its sha256 begins, empty for unknown. again: from the
    start, whatever is here. A download that broke goes on where it ended, now or at the next call;
    from the start where the server cannot, or has another version of the file by now.

    Raises WeightsError offline, where the server has no such file or keeps breaking off, where the
    disk is full or cannot be written, and where size or sha256 are not as they should be.
    """
    hand = f"or download it in a browser, then `stadkit models import FILE --as {name}`"
    folder.mkdir(parents=True, exist_ok=True)
    stem = hashlib.sha256(url.encode()).hexdigest()[:16]
    whole, part = folder / f"{stem}{Path(url).suffix}", folder / f"{stem}.part"
    here = whole.is_file() and not again
    if not here:
        refuse_offline(url, hand)
    for old in (whole, part) if again else ():
        old.unlink(missing_ok=True)
    try:
        if not here:
            _bring(url, part, size, hand)
        _check(url, whole if here else part, size, prefix)
        os.replace(whole if here else part, whole)
    except OSError as error:  # of the disk: those of the network are dealt with
        raise not_written(folder, error) from error
    _tag_of(part).unlink(missing_ok=True)
    return whole


def _bring(url: str, part: Path, size: int, hand: str) -> None:
    """Download what `part` still lacks; connections that break are made again."""
    left, furthest = TRIES, _length(part)
    while True:
        try:
            return _go_on(url, part, size)
        except Stopped as error:
            # Servers that give it from the start end before that, too: no try brings them on.
            left = TRIES if _length(part) > furthest else left - 1
            furthest = max(furthest, _length(part))
            if left and error.worth:
                time.sleep(2.0 ** (TRIES - 1 - left))  # 1, 2, 4, 8 seconds
                continue
            kept = _length(part)
            way = f"{kept / 1e6:.1f} MB are here, pull again to go on" if kept else "pull again"
            raise WeightsError(f"{url}: {error}; {way}, {hand}") from error


def _go_on(url: str, part: Path, size: int) -> None:
    """One connection: what `part` lacks goes to its end. Raises Stopped where it breaks."""
    answer = _ask(url, part)
    if answer is None:  # all of it is here
        return
    with answer.body as body:
        check_space(part.parent, answer.size or size, answer.start)
        _tag_of(part).write_text(answer.tag, "utf-8")
        with part.open("r+b" if answer.start else "wb") as out:
            out.seek(answer.start)
            with _bar(url, answer) as bar:
                while piece := _piece(body):
                    out.write(piece)
                    bar.update(len(piece))
    if answer.size is not None and _length(part) < answer.size:
        raise Stopped(f"broke off at {_length(part)} of {answer.size} bytes")


def _piece(body: http.client.HTTPResponse) -> bytes:
    try:
        return body.read1(PIECE)
    except BROKEN as error:
        raise Stopped(f"broke off ({_told(error)})") from error


def _ask(url: str, part: Path) -> Answer | None:
    """Ask for what is not here; None where nothing is lacking. Raises Stopped, WeightsError."""
    here, tag = _length(part), _tag(part)
    headers = {"User-Agent": "stadkit", "Accept-Encoding": "identity"}
    if here:
        headers["Range"] = f"bytes={here}-"
        if tag:
            headers["If-Range"] = tag  # another version comes whole, from the start
    try:
        opener = urllib.request.build_opener(HttpsOnlyRedirect)
        body = opener.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        _check_whole(part, error)
        return None
    except BROKEN as error:
        raise Stopped(f"cannot be reached ({_told(error)})") from error
    answer = _answer(url, body, here)
    if answer.start and tag and answer.tag not in ("", tag):
        body.close()
        part.unlink()
        raise Stopped("the file has changed since the download began")
    return answer


def _check_whole(part: Path, error: urllib.error.HTTPError) -> None:
    """Raise Stopped, unless what the server says is that there is no more to come."""
    said = f"cannot be fetched ({error.code} {error.reason})"
    error.close()
    whole = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
    if error.code == 416 and whole and int(whole[1]) == _length(part):
        return
    if error.code == 416:  # more is here than the file has: it is another one
        part.unlink()
        raise Stopped("what is here is of another file") from error
    raise Stopped(said, worth=error.code in PASSING) from error


def _answer(url: str, body: http.client.HTTPResponse, here: int) -> Answer:
    """What a server's first lines say; raises WeightsError for what is no file."""
    told = body.headers
    if told.get_content_type() == "text/html":
        body.close()
        raise WeightsError(
            f"{url}: a web page came, not a file; open it in a browser (a network's log-in page?)"
        )
    length = int(told["Content-Length"]) if told.get("Content-Length", "").isdigit() else None
    tag = told.get("ETag") or told.get("Last-Modified") or ""
    tag = "" if tag.startswith("W/") else tag  # a weak one is not for ranges
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", told.get("Content-Range", ""))
    if body.status != 206:
        return Answer(body, 0, length, tag)
    if not found or int(found[1]) != here:
        body.close()
        raise Stopped("its server gives other bytes than were asked for", worth=False)
    return Answer(body, here, int(found[2]) if found[2] != "*" else None, tag)


def _check(url: str, came: Path, size: int, prefix: str) -> None:
    """Raise WeightsError, and delete it, where what came is not the file that was meant."""
    here = _length(came)
    wrong = f"{here} bytes came of {size}" if size and here != size else ""
    if not wrong and prefix and not (found := sha256(came)).startswith(prefix.lower()):
        wrong = f"its sha256 is {found[:16]}..., not {prefix.lower()}..."
    if not wrong and not here:
        wrong = "empty"
    if wrong:
        came.unlink()
        _tag_of(came).unlink(missing_ok=True)
        raise WeightsError(
            f"{url}: what came is not the file that was released ({wrong}); deleted, pull it again"
        )


def _bar(url: str, answer: Answer) -> tqdm[Any]:
    from tqdm import tqdm

    return tqdm(
        desc=url.rpartition("/")[2][-40:],
        total=answer.size,
        initial=answer.start,
        unit="B",
        unit_scale=True,
        disable=not sys.stderr.isatty(),
    )


def _length(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _tag_of(part: Path) -> Path:
    """Where the version of a file lies that is not yet whole."""
    return part.with_suffix(".tag")


def _tag(part: Path) -> str:
    beside = _tag_of(part)
    return beside.read_text("utf-8").strip() if beside.is_file() else ""


def _told(error: BaseException) -> str:
    """A broken connection, in one line."""
    reason = getattr(error, "reason", error)
    lines = str(reason).strip().splitlines()
    return lines[0] if lines else type(reason).__name__


class HttpsOnlyRedirect(urllib.request.HTTPRedirectHandler):
    """Leads from an encrypted address to encrypted ones alone, at each step.

    The last address does not tell: who sits on a step in the clear leads where he wants.
    """

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """As its base has it; raises WeightsError for a step to an address in the clear."""
        if req.full_url.startswith(SECURE) and not newurl.startswith(SECURE):
            fp.close()
            raise WeightsError(
                f"{req.full_url}: leads to {newurl}, which is not encrypted; not downloaded"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)
