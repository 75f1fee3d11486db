"""An HTTP server for one file, with faults that tests switch on."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Served(BaseHTTPRequestHandler):
    """The server's behaviour; each test has its own subclass."""

    content = bytes(range(256)) * 40
    breaks: int = 0  # bytes after which a response breaks off; 0: never
    once = False  # break off only once
    code = 200  # other than 200: the status of every response
    ranges = True  # whether it supports ranges
    honours_if_range = True
    sends_size = True
    kind = "application/octet-stream"
    tag = '"one"'
    holds: threading.Event | None = None  # waits for this after `breaks` bytes
    asked: list[str]  # the Range of each GET
    address: str

    def do_GET(self) -> None:
        kind, asked = type(self), self.headers.get("Range", "")
        kind.asked.append(asked)
        if kind.code != 200:
            self.send_error(kind.code)
            return
        current = not kind.honours_if_range or self.headers.get("If-Range", kind.tag) == kind.tag
        start = int(re.findall(r"\d+", asked)[0]) if asked and kind.ranges and current else 0
        whole = len(kind.content)
        if start and start >= whole:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{whole}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", kind.kind)
        self.send_header("ETag", kind.tag)
        if kind.sends_size:
            self.send_header("Content-Length", str(whole - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        self.end_headers()
        self.give(kind.content[start:])

    def give(self, rest: bytes) -> None:
        """Send the bytes, up to `breaks`."""
        kind = type(self)
        many = kind.breaks or len(rest)
        if kind.once:
            kind.breaks = 0
        self.wfile.write(rest[:many])
        self.wfile.flush()
        if kind.holds is not None:
            kind.holds.wait(30)
            self.wfile.write(rest[many:])

    def log_message(self, *_: Any) -> None:
        """Silent."""


@contextmanager
def serving(**knobs: Any) -> Iterator[type[Served]]:
    """A running server, whose class attributes can be changed while it runs."""
    kind: type[Served] = type("OneServed", (Served,), {"asked": [], **knobs})
    running = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    kind.address = f"http://127.0.0.1:{running.server_port}"
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield kind
    finally:
        running.shutdown()
        running.server_close()
        thread.join()
