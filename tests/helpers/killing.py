"""Runs of `detect` that are killed at any moment: a process that forks one run after another.

It imports torch once, which takes longer than many runs. Told on stdin, a JSON object a line:
{"folder", "inputs", "delay"}; answers on stdout with {"killed", "seconds"}. A run whose delay is
null is left to end, in the process itself; otherwise kill -9 comes so many seconds after its
start.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any


@dataclass
class Killer:
    """The process that forks; `run` is one run of `detect`."""

    told: IO[str]
    answers: IO[str]

    def run(self, folder: Path, inputs: Sequence[Path], delay: float | None = None) -> Any:
        """{"killed", "seconds"} of a run over these inputs into this folder."""
        wanted = {"folder": str(folder), "inputs": list(map(str, inputs)), "delay": delay}
        self.told.write(json.dumps(wanted) + "\n")
        self.told.flush()
        return json.loads(self.answers.readline())


@contextmanager
def killer() -> Iterator[Killer]:
    """Start the process; leaving it ends it."""
    command = [sys.executable, __file__]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Killer(process.stdin, process.stdout)
        process.stdin.close()


def _serve() -> None:
    import torch

    torch.set_num_threads(1)  # threads would not live through a fork
    detector = _detector()
    for line in sys.stdin:
        wanted = json.loads(line)
        started = time.perf_counter()
        killed = False
        if wanted["delay"] is None:
            assert _detect(detector, wanted) == 0
        else:
            killed = _cut_off(detector, wanted)
        seconds = time.perf_counter() - started
        print(json.dumps({"killed": killed, "seconds": seconds}), flush=True)


def _cut_off(detector: Any, wanted: dict[str, Any]) -> bool:
    """A run in a process of its own that is killed, if it lives so long; whether it did."""
    child = os.fork()
    if child == 0:
        try:
            _detect(detector, wanted)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    time.sleep(wanted["delay"])
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _detect(detector: Any, wanted: dict[str, Any]) -> int:
    """One run; its exit code."""
    from stadkit.console import console
    from stadkit.detection import DetectOptions
    from stadkit.runs.batch import detect_many
    from stadkit.runs.inputs import gather
    from stadkit.runs.job import Job

    console.file = open(os.devnull, "w")  # noqa: SIM115
    job = Job(detector, DetectOptions(every=0.2), detector.card.classes, 0.1, save_video=True)
    return detect_many(gather(wanted["inputs"]), job, Path(wanted["folder"]), False, False)


def _detector() -> Any:
    """One person in the left half, the redder the picture the surer of what they do."""
    from dataclasses import replace

    import torch
    from torch import Tensor, nn

    from stadkit import zoo
    from stadkit.detection import Detector
    from stadkit.labels import Labels
    from stadkit.models import Outputs

    class Fake(nn.Module):
        def forward(self, pixels: Tensor, sizes: Tensor) -> Outputs:
            b = len(pixels)
            box = torch.tensor([0.0, 0.1, 0.5, 0.9]).repeat(b, 1, 1, 1)
            red = pixels[:, 0].mean((1, 2, 3)).sigmoid()
            return Outputs(torch.full((b, 1), 2.0), box, red[:, None, None].logit().repeat(1, 1, 2))

    labels = Labels((3, 7), ("wave", "sit"))
    known = zoo.card("mestad-tiny")
    card = replace(known, classes=labels, frames=4, key=2, short_side=32, batch=2)
    return Detector(Fake(), card, "cpu", "fp32", "fake", "0" * 64)


if __name__ == "__main__":
    _serve()
