"""Time and memory of scoring a whole data set."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from stadkit.memory import peak_gb


def measure_evaluation(found: Path, truth: Path) -> dict[str, Any]:
    """Time of reading and of the default scores of `stadkit eval`; peak memory."""
    from stadkit.metrics.evaluate import evaluate
    from stadkit.metrics.table import coverage_notes
    from stadkit.readers.evaluation import read_evaluation_inputs

    started = time.perf_counter()
    sides = read_evaluation_inputs(found, truth, None, None, None)
    read = time.perf_counter()
    scores = evaluate(sides.found, sides.truth, sides.labels, sides.facts)
    coverage_notes(scores)
    report = scores.to_json()
    done = time.perf_counter()
    return {
        "found_rows": len(sides.found.instances),
        "truth_rows": len(sides.truth.instances),
        "frame_map": round(report["frame_map"], 6),
        "read_s": round(read - started, 3),
        "score_s": round(done - read, 3),
        "peak_gb": round(peak_gb(), 3),
    }


def evaluate_in_new_process(found: Path, truth: Path) -> dict[str, Any]:
    """`measure_evaluation` in a new process, and its time including Python's start."""
    code = (
        "import json, sys; from pathlib import Path; "
        "from stadkit.bench.evaluation import measure_evaluation; "
        "print(json.dumps(measure_evaluation(Path(sys.argv[1]), Path(sys.argv[2]))))"
    )
    command = [sys.executable, "-c", code, str(found), str(truth)]
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    whole = time.perf_counter() - started
    figures: dict[str, Any] = json.loads(done.stdout)
    return {**figures, "whole_s": round(whole, 3)}
