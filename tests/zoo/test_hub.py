"""Downloads from the Hub, served locally: broken, resumed and checked."""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest

from stadkit.errors import WeightsError
from stadkit.zoo import hub

CONTENT = bytes(range(256)) * 40
COMMIT = "c" * 40


class Hub(BaseHTTPRequestHandler):
    """One file in one repository."""

    sha256 = hashlib.sha256(CONTENT).hexdigest()
    size = len(CONTENT)
    breaks = 0  # bytes after which a response breaks off; 0: never
    fails = False  # answer 503
    ranges = True  # whether it supports ranges
    asked: list[str]  # the Range of each GET

    def do_HEAD(self) -> None:
        found = self.path.startswith("/some/repo/resolve/") and self.path.endswith("/m.safetensors")
        self.send_response(200 if found else 404)
        if found:
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{self.sha256}"')
            self.send_header("Content-Length", str(self.size))
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        type(self).asked.append(asked)
        start = int(re.findall(r"\d+", asked)[0]) if asked and self.ranges else 0
        rest = CONTENT[start:]
        if self.fails:
            self.send_error(503)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        if start:
            whole = len(CONTENT)
            self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        self.end_headers()
        self.wfile.write(rest[: self.breaks or len(rest)])
        if self.breaks:
            type(self).fails = True

    def log_message(self, *_: Any) -> None:
        """Silent."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    kind = type("OneHub", (Hub,), {"asked": []})
    running = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    address = f"http://127.0.0.1:{running.server_port}"
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 512)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    yield kind
    running.shutdown()
    running.server_close()
    thread.join()


def fetch(folder: Path, file: str = "m.safetensors", again: bool = False) -> hub.Fetched:
    return hub.fetch("some/repo", file, "its-name", folder, again)


def test_a_download_is_complete_and_checked(server: type[Hub], tmp_path: Path) -> None:
    came = fetch(tmp_path / "d")
    assert came.path.read_bytes() == CONTENT
    assert (came.path.suffix, came.revision, came.checked) == (".safetensors", COMMIT, True)
    assert list((tmp_path / "d").iterdir()) == [came.path]
    assert fetch(tmp_path / "d").path == came.path
    assert server.asked == [""]  # the second time, it was cached


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_is_resumed(server: type[Hub], tmp_path: Path, ranges: bool) -> None:
    server.breaks, server.ranges = 4096, ranges
    with pytest.raises(WeightsError, match=r"0\.0 MB are kept, pull again to resume") as caught:
        fetch(tmp_path / "d")
    assert "\n" not in str(caught.value)
    (part,) = (tmp_path / "d").iterdir()
    assert (part.suffix, part.read_bytes()) == (".part", CONTENT[:4096])
    server.breaks, server.fails, server.asked[:] = 0, False, []
    assert fetch(tmp_path / "d").path.read_bytes() == CONTENT
    assert server.asked == ["bytes=4096-"]
    assert not part.exists()


def test_free_space_is_checked_first(
    server: type[Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(tmp_path)._replace(free=2 * len(CONTENT) - 1)
    monkeypatch.setattr("stadkit.zoo.storage.shutil.disk_usage", lambda _: free)
    with pytest.raises(WeightsError, match="not enough disk space"):
        fetch(tmp_path / "d")
    assert server.asked == []


def test_again_starts_over(server: type[Hub], tmp_path: Path) -> None:
    server.breaks = 4096
    server.sha256 = "b" * 40  # no sha256 that would reveal a wrong file
    with pytest.raises(WeightsError):
        fetch(tmp_path / "d")
    server.breaks, server.fails, server.asked[:] = 0, False, []
    for _ in range(2):
        came = fetch(tmp_path / "d", again=True)
        assert came.path.read_bytes() == CONTENT
        came.path.write_bytes(b"refused")
    assert server.asked == ["", ""]


def test_other_content_is_deleted(server: type[Hub], tmp_path: Path) -> None:
    server.sha256 = "a" * 64
    with pytest.raises(
        WeightsError, match=r"differs from the server's file .sha256.*pull it again"
    ):
        fetch(tmp_path / "d")
    assert list((tmp_path / "d").iterdir()) == []


def test_another_size_is_refused(server: type[Hub], tmp_path: Path) -> None:
    server.size = len(CONTENT) + 1
    with pytest.raises(WeightsError, match="should be of size 10241 but has size 10240"):
        fetch(tmp_path / "d")


def test_a_partial_download_of_an_older_version_is_not_resumed(
    server: type[Hub], tmp_path: Path
) -> None:
    server.breaks = 4096
    with pytest.raises(WeightsError):
        fetch(tmp_path / "d")
    server.breaks, server.fails, server.asked[:] = 0, False, []
    server.sha256 = "a" * 64
    with pytest.raises(WeightsError, match=r"differs from the server.s file"):
        fetch(tmp_path / "d")
    assert server.asked == [""]  # from the start


def test_a_file_without_sha256_is_not_checked(server: type[Hub], tmp_path: Path) -> None:
    server.sha256 = "b" * 40  # of git, not of the content
    assert not fetch(tmp_path / "d").checked


def test_a_missing_file_gives_one_line(server: type[Hub], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.bin: cannot be downloaded \(404") as caught:
        fetch(tmp_path / "d", "gone.bin")
    assert "stadkit models import FILE --as its-name" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_offline_is_offline(
    server: type[Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match=r"offline mode is on .*HF_HUB_OFFLINE.; unset it"):
        fetch(tmp_path / "d")
    assert server.asked == []


def test_the_hubs_own_cache_comes_first(server: type[Hub], tmp_path: Path) -> None:
    repo = tmp_path / "cache" / "models--some--repo"
    blob, link = repo / "blobs" / Hub.sha256, repo / "snapshots" / COMMIT / "m.safetensors"
    for path in (blob, link, repo / "refs" / "main"):
        path.parent.mkdir(parents=True)
    blob.write_bytes(CONTENT)
    link.symlink_to(blob)
    (repo / "refs" / "main").write_text(COMMIT)
    assert fetch(tmp_path / "d") == (link, COMMIT, True)
    assert server.asked == []
    blob.write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match="damaged in the Hub's cache; pull it with --again"):
        fetch(tmp_path / "d")
    assert fetch(tmp_path / "d", again=True).path.read_bytes() == CONTENT
    assert blob.read_bytes() == CONTENT[:-1]  # the Hub's cache is left alone
