"""A server of streams on this machine: each connection gets the next of its answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np


@dataclass(frozen=True)
class Answer:
    """What a connection gets before it is closed; `length`: how long it is, is told."""

    body: bytes
    status: int = 200
    kind: str = "video/mp2t"
    length: bool = False


@dataclass
class Broadcast:
    """Where the server is, and how often it was asked."""

    url: str
    asked: int = 0


@contextmanager
def broadcast(answers: Sequence[Answer], path: str = "/live.ts") -> Iterator[Broadcast]:
    """Serve the answers in turn; after the last the server is busy (503)."""
    rest = iter(answers)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with lock:
                held.asked += 1
                answer = next(rest, Answer(b"busy", 503, "text/plain"))
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            if answer.length:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        held = Broadcast(f"http://127.0.0.1:{server.server_address[1]}{path}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield held
        finally:
            server.shutdown()
            thread.join()


def stream(folder: Path, seconds: float, rate: int = 10, red: int = 200) -> bytes:
    """MPEG-TS of so many seconds, 64x48, all of this red."""
    path = folder / f"{seconds}-{red}.ts"
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[..., 0] = red
    with av.open(str(path), "w") as output:
        made = output.add_stream("libx264", rate=rate, options={"tune": "zerolatency"})
        made.width, made.height, made.pix_fmt = 64, 48, "yuv420p"
        for i in range(round(seconds * rate)):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = i, Fraction(1, rate)
            output.mux(made.encode(frame))
        output.mux(made.encode(None))
    return path.read_bytes()
