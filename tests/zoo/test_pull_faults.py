"""Fault 17: broken downloads, unreliable servers and full disks."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import made_evad
from helpers.served import Served, serving
from safetensors import SafetensorError

from stadkit import zoo
from stadkit.errors import WeightsError
from stadkit.zoo import http
from stadkit.zoo.pulling import pull

SHA256 = hashlib.sha256(Served.content).hexdigest()
WHOLE = len(Served.content)
TENTHS = [WHOLE * tenth // 10 for tenth in range(1, 10)]


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STADKIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("stadkit.zoo.http.time.sleep", lambda _: None)
    return tmp_path / "home"


@pytest.fixture
def server() -> Iterator[type[Served]]:
    with serving() as kind:
        yield kind


def fetch(server: type[Served], folder: Path, **more: Any) -> Path:
    return http.fetch(f"{server.address}/x.pth", "its-name", folder, **more)


def names(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir())


def test_17_a_download_is_complete_and_checked(server: type[Served], tmp_path: Path) -> None:
    came = fetch(server, tmp_path, size=WHOLE, prefix=SHA256[:8].upper())
    assert came.read_bytes() == Served.content
    assert names(tmp_path) == [".pth"]
    assert fetch(server, tmp_path) == came
    assert server.asked == [""]  # the second time, it was cached


@pytest.mark.parametrize("at", TENTHS)
def test_17_interrupted_at_every_10_percent(server: type[Served], tmp_path: Path, at: int) -> None:
    """The server goes down in the middle; the next pull resumes from there."""
    server.breaks = at
    real = http._read_chunk

    def chunk(body: Any) -> bytes:
        received = real(body)
        server.code = 503  # from now on
        return received

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(http, "_read_chunk", chunk)
        with pytest.raises(
            WeightsError, match=r"503 .*MB are kept, pull again to resume"
        ) as caught:
            fetch(server, tmp_path, prefix=SHA256[:8])
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == [".part", ".tag"]  # nothing at the final name
    server.breaks, server.code, server.asked[:] = 0, 200, []
    assert fetch(server, tmp_path, prefix=SHA256[:8]).read_bytes() == Served.content
    assert server.asked == [f"bytes={at}-"]
    assert names(tmp_path) == [".pth"]


@pytest.mark.parametrize("ranges", [True, False])
def test_17_a_broken_connection_is_retried(
    server: type[Served], tmp_path: Path, ranges: bool
) -> None:
    server.breaks, server.once, server.ranges = 4096, True, ranges
    assert fetch(server, tmp_path).read_bytes() == Served.content
    assert server.asked == ["", "bytes=4096-"]


def test_17_a_server_that_always_breaks_is_given_up(server: type[Served], tmp_path: Path) -> None:
    server.breaks, server.ranges = 4096, False  # starts over each time: no progress
    with pytest.raises(WeightsError, match=r"broke off at 4096 of 10240 bytes; 0\.0 MB are kept"):
        fetch(server, tmp_path)
    assert len(server.asked) == 1 + http.MAX_TRIES


def test_17_only_new_bytes_count_as_progress(server: type[Served], tmp_path: Path) -> None:
    """A server without ranges that breaks off at 10, 20, 10, 20... bytes is also given up."""
    server.ranges = False
    real = server.give

    def give(self: Served, rest: bytes) -> None:
        server.breaks = 10 if len(server.asked) % 2 else 20
        assert len(server.asked) < 50  # otherwise the test ends
        real(self, rest)

    server.give = give  # type: ignore[method-assign]
    with pytest.raises(WeightsError, match="broke off at"):
        fetch(server, tmp_path)
    assert len(server.asked) == 2 + http.MAX_TRIES


@pytest.mark.parametrize("honours", [True, False])
def test_17_another_version_starts_over(
    server: type[Served], tmp_path: Path, honours: bool
) -> None:
    server.breaks, server.once, server.honours_if_range = 4096, True, honours
    real = server.give

    def give(self: Served, rest: bytes) -> None:
        real(self, rest)
        server.tag, server.content = '"two"', b"another" * 1000

    server.give = give  # type: ignore[method-assign]
    assert fetch(server, tmp_path).read_bytes() == b"another" * 1000
    assert server.asked == ["", "bytes=4096-"] + ([] if honours else [""])


def test_17_a_wrong_hash_is_deleted(server: type[Served], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=rf"its sha256 is {SHA256[:16]}\.\.\., not 00000000"):
        fetch(server, tmp_path, prefix="0" * 8)
    assert names(tmp_path) == []


def test_17_a_wrong_size_is_deleted(server: type[Served], tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="10240 of 10241 bytes"):
        fetch(server, tmp_path, size=WHOLE + 1)
    assert names(tmp_path) == []


def test_17_a_web_page_and_an_empty_file_are_refused(server: type[Served], tmp_path: Path) -> None:
    server.kind = "text/html; charset=utf-8"
    with pytest.raises(WeightsError, match="got a web page, not a file"):
        fetch(server, tmp_path)
    server.kind, server.content = "application/octet-stream", b""
    with pytest.raises(WeightsError, match="empty"):
        fetch(server, tmp_path)
    server.code = 404
    with pytest.raises(WeightsError, match=r"404 .*models import FILE --as its-name"):
        fetch(server, tmp_path)
    assert len(server.asked) == 3  # no second try


def test_17_a_server_that_sends_no_size(server: type[Served], tmp_path: Path) -> None:
    server.sends_size = False
    assert fetch(server, tmp_path, prefix=SHA256[:8]).read_bytes() == Served.content
    server.breaks = 4096  # only the hash reveals it
    with pytest.raises(WeightsError, match="its sha256 is"):
        fetch(server, tmp_path, prefix=SHA256[:8], again=True)
    assert names(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_17_a_full_disk_is_one_line(
    server: type[Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stem = hashlib.sha256(f"{server.address}/x.pth".encode()).hexdigest()[:16]
    (tmp_path / f"{stem}.part").symlink_to("/dev/full")
    with pytest.raises(WeightsError, match="no space left on device; free some space") as caught:
        fetch(server, tmp_path)
    assert "\n" not in str(caught.value)
    free = shutil.disk_usage(tmp_path)._replace(free=5000)
    monkeypatch.setattr("stadkit.zoo.storage.shutil.disk_usage", lambda _: free)
    (tmp_path / f"{stem}.part").unlink()
    with pytest.raises(WeightsError, match="not enough disk space"):  # before a byte is written
        fetch(server, tmp_path)
    assert names(tmp_path) == [".tag"]


def test_17_the_disk_needs_room_for_the_weights_too(
    server: type[Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for the download alone is not enough: the imported weights need it, too."""
    disk = shutil.disk_usage(tmp_path)
    free = [2 * WHOLE - 1, 2 * WHOLE]
    monkeypatch.setattr(
        "stadkit.zoo.storage.shutil.disk_usage", lambda _: disk._replace(free=free[0])
    )
    with pytest.raises(
        WeightsError, match=r"not enough disk space .* to download and .* to import"
    ):
        fetch(server, tmp_path)
    assert names(tmp_path) == []
    del free[0]
    assert fetch(server, tmp_path).stat().st_size == WHOLE


def test_17_a_write_protected_disk_is_not_called_full(
    server: type[Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("stadkit.zoo.http.os.replace", refuse)
    with pytest.raises(WeightsError, match="permission denied; fix that, or set STADKIT_HOME"):
        fetch(server, tmp_path)


CHILD = """
import sys
from pathlib import Path
from stadkit.zoo import http, pulling
with pulling._exclusive("its-name", Path(sys.argv[2])):
    http.fetch(sys.argv[1], "its-name", Path(sys.argv[2]))
"""


def test_17_two_processes_at_once_and_one_killed(server: type[Served], tmp_path: Path) -> None:
    server.breaks, server.holds = 5000, threading.Event()
    command = [sys.executable, "-c", CHILD, f"{server.address}/x.pth", str(tmp_path)]
    first = subprocess.Popen(command)
    part = tmp_path / f"{hashlib.sha256(command[3].encode()).hexdigest()[:16]}.part"
    until = time.monotonic() + 30
    while time.monotonic() < until and not (part.exists() and part.stat().st_size):
        threading.Event().wait(0.02)
    second = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert "its-name: another process is pulling it" in second.stderr
    first.send_signal(signal.SIGKILL)
    first.wait()
    server.holds.set()
    server.holds, server.breaks, server.asked[:] = None, 0, []
    assert 0 < part.stat().st_size <= 5000
    assert fetch(server, tmp_path).read_bytes() == Served.content
    assert server.asked[0].startswith("bytes=")


def test_17_pull_of_a_card_with_a_url(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "evad-vit-b"
    content = made_evad.released(own_home.parent / "x.pyth", made_evad.small(name)).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    with serving(content=content) as server:
        url = f"{server.address}/x.pyth"
        known = replace(made_evad.small(name), url=url, size=len(content))
        monkeypatch.setitem(zoo.CARDS, name, replace(known, sha256_prefix=digest[:8]))
        kept = pull(name)
        notes = zoo.read_sidecar(kept)
        assert (notes["source"], notes["sha256_checked"]) == (url, True)
        assert notes["source_sha256"] == digest
        assert os.listdir(own_home / "downloads") == [f"{name}.lock"]
        monkeypatch.setitem(zoo.CARDS, name, replace(known, sha256_prefix="0" * 8))
        kept.unlink()
        with pytest.raises(WeightsError, match="not the released file"):
            pull(name)
    assert zoo.state(name) == "absent"


@pytest.fixture
def evad(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Served]]:
    """Serves a small evad-vit-b at its card's URL; its config says keep rate .6."""
    name = "evad-vit-b"
    config = "KEEP_RATE: 0.6\nENHANCED_WEIGHT: 4"
    file = made_evad.released(own_home.parent / "x.pyth", made_evad.small(name), config)
    with serving(content=file.read_bytes()) as server:
        url = f"{server.address}/x.pyth"
        monkeypatch.setitem(zoo.CARDS, name, replace(made_evad.small(name), url=url))
        yield server


def test_17_a_disk_that_fills_up_at_the_end_keeps_the_download(
    evad: type[Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    with monkeypatch.context() as patched:
        patched.setattr("safetensors.torch.save_file", full)
        with pytest.raises(WeightsError, match=r"No space left on device.*free some space"):
            pull("evad-vit-b", anyway=True)
    pull("evad-vit-b", anyway=True)
    assert evad.asked == [""]  # downloaded once
    assert zoo.state("evad-vit-b") == "here"


def test_17_a_file_that_anyway_accepts_is_kept(evad: type[Served]) -> None:
    with pytest.raises(WeightsError, match=r"keep rate 0\.6, not 0\.7.* with --anyway"):
        pull("evad-vit-b")
    pull("evad-vit-b", anyway=True)
    assert evad.asked == [""]


def test_17_a_file_that_is_always_refused_is_deleted(evad: type[Served], own_home: Path) -> None:
    evad.content = b"PK no checkpoint"
    for _ in range(2):
        with pytest.raises(WeightsError, match="not a safetensors, torch or Caffe2 checkpoint"):
            pull("evad-vit-b", anyway=True)
    assert evad.asked == ["", ""]
    assert os.listdir(own_home / "downloads") == ["evad-vit-b.lock"]


@pytest.mark.parametrize("back", [True, False], ids=["and-back", "for-good"])
def test_17_no_redirect_leaves_https(
    server: type[Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, back: bool
) -> None:
    """127.0.0.1 stands for https here, and redirects; localhost stands for http."""
    monkeypatch.setattr(http, "SECURE", "http://127.0.0.1")
    clear = server.address.replace("127.0.0.1", "localhost")
    leads = {"/x.pth": f"{server.address}/2", "/2": f"{clear}/3"}
    if back:
        leads["/3"] = f"{server.address}/4"
    real = server.do_GET

    def do_get(self: Served) -> None:
        if self.path not in leads:
            return real(self)
        server.asked.append(self.path)
        self.send_response(302)
        self.send_header("Location", leads[self.path])
        self.send_header("Content-Length", "0")
        return self.end_headers()

    server.do_GET = do_get  # type: ignore[method-assign]
    with pytest.raises(
        WeightsError, match=r"redirects to http://localhost:\d+/3, which is not encry"
    ):
        fetch(server, tmp_path)
    assert server.asked == ["/x.pth", "/2"]
    leads["/2"] = f"{server.address}/4"
    assert fetch(server, tmp_path).read_bytes() == Served.content
