"""Time and memory of each linking method."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from stadkit.memory import peak_gb

FRAMES, CLASSES, BOXES = 150, 24, 10
JITTER, MISS, FALSE = 0.03, 0.05, 0.05  # as many false boxes as missed people


def measure_linking(method: str, videos: int, seed: int, runs: int) -> dict[str, Any]:
    """Best of `runs`: {"boxes", "s", "cpu_s", "tubes", "peak_gb"}; memory includes the input."""
    from stadkit.linking import link_by
    from stadkit.synth.benchmark_sets import RATE, SIZE, crowd
    from stadkit.synth.degraded import degrade

    truth = crowd(videos, FRAMES, BOXES, CLASSES, seed)
    found, keyframes = degrade(truth, 1 / RATE, seed, JITTER, MISS, FALSE)
    sizes = dict.fromkeys(set(found.video.tolist()), SIZE)
    seconds = []
    for _ in range(runs):
        started, before = time.perf_counter(), time.process_time()
        tubes = link_by(method, found, keyframes, rate=RATE, sizes=sizes).tubes
        seconds.append((time.perf_counter() - started, time.process_time() - before))
    wall, cpu = (round(min(column), 4) for column in zip(*seconds, strict=True))
    peak = round(peak_gb(), 3)
    return {"boxes": len(found), "s": wall, "cpu_s": cpu, "tubes": len(tubes), "peak_gb": peak}


def link_in_new_process(method: str, videos: int, seed: int, runs: int) -> dict[str, Any]:
    """`measure_linking` in a new process."""
    code = (
        "import json, sys; from stadkit.bench.linking import measure_linking; "
        "print(json.dumps(measure_linking(sys.argv[1], *map(int, sys.argv[2:]))))"
    )
    command = [sys.executable, "-c", code, method, str(videos), str(seed), str(runs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures
