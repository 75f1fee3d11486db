"""The self-test: runs the built-in model on a rendered video and compares with a known result."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from stadkit.console import one_line
from stadkit.errors import StadkitError

if TYPE_CHECKING:
    from stadkit.detections import Detections

MODEL = "mestad-nano"
SEED, FRAMES, RATE = 7, 16, 10  # of the rendered video
TIMES = (0.4, 0.8, 1.2)  # keyframes, in seconds
# The best person of each keyframe: x1 y1 x2 y2, person score, best action score; float32 on a
# CPU, weights with this sha256. `python -m stadkit.doctor.self_test` prints new values.
WEIGHTS = "78db98e873a769bf29f88cddef8edf62297844cd6b124289ed41aad528f4b843"
EXPECTED = (
    (0.1307, 0.2994, 0.3153, 0.8578, 0.6648, 0.7385),
    (0.1249, 0.308, 0.3224, 0.8712, 0.6488, 0.7307),
    (0.4108, 0.2315, 0.8038, 1.0, 0.6284, 0.7248),
)
FP32_TOLERANCE, OTHER_TOLERANCE = 2e-3, 0.05  # fp32 on a CPU; other precisions and devices
T = TypeVar("T")


@dataclass(frozen=True)
class Step:
    """A step of the test, its result or error (`told`) and duration. The fields are JSON keys."""

    name: str
    ok: bool
    told: str
    seconds: float


def self_test() -> list[Step]:
    """Write a video, read it, detect people, save results and compare; stops at a failure."""
    steps: list[Step] = []

    def step(name: str, work: Callable[[], tuple[str, T]]) -> T | None:
        started = time.perf_counter()
        try:
            message, result = work()
            ok = True
        except (StadkitError, OSError, RuntimeError, ImportError) as error:
            message, result, ok = one_line(error) or type(error).__name__, None, False
        steps.append(Step(name, ok, message, round(time.perf_counter() - started, 2)))
        return result

    with ExitStack() as stack:
        folder = step("make a folder", lambda: _make_folder(stack))
        if folder is None:
            return steps
        video = Path(folder) / "test.mp4"
        if step("write a video", lambda: _write_video(video)) is None:
            return steps
        if step("read it", lambda: _read_video(video)) is None:
            return steps
        detector = step("load the model", _load)
        if detector is None:
            return steps
        found = step("find people", lambda: _find(detector, video))
        if found is None:
            return steps
        step("write and read results", lambda: _write_results(found, detector, Path(folder)))
        step("compare", lambda: _compare(found, detector))
    return steps


def _make_folder(stack: ExitStack) -> tuple[str, str]:
    """Create a temporary folder that is removed when the stack closes."""
    return "temporary", stack.enter_context(tempfile.TemporaryDirectory(prefix="stadkit-"))


def _write_video(path: Path) -> tuple[str, Path]:
    from stadkit.synth import render_clip
    from stadkit.video.write import VideoWriter

    frames = render_clip(SEED, frames=FRAMES, stride=1 / RATE, key=FRAMES // 2).pixels
    height, width = frames.shape[1:3]
    # Lossless (crf 0): the decoded frames do not depend on the encoder.
    with VideoWriter(path, width, height, RATE, crf=0, threads=1) as writer:
        for i, frame in enumerate(frames):
            writer.write(frame, i / RATE)
    return f"{FRAMES} frames of {width}x{height}, H.264", path


def _read_video(path: Path) -> tuple[str, int]:
    from stadkit.video.decode import open_video

    with open_video(path) as video:
        count = sum(1 for _ in video)
    if count != FRAMES or video.report.partial:
        raise StadkitError(f"only {count} of {FRAMES} frames could be read; reinstall PyAV (`av`)")
    return f"all {count} frames", count


def _load() -> tuple[str, Any]:
    from stadkit.detection import load

    detector = load(MODEL)
    kind = str(detector.precision).removeprefix("torch.")
    return f"{MODEL} on {detector.device}, {kind}", detector


def _find(detector: Any, path: Path) -> tuple[str, Detections]:
    from stadkit.detection import DetectOptions, detect_video

    found = detect_video(detector, path, DetectOptions(times=TIMES, top_k=1)).table
    return f"{len(found)} people in {len(TIMES)} keyframes", found


def _write_results(found: Detections, detector: Any, folder: Path) -> tuple[str, bool]:
    from stadkit.files.ava_csv import read_found, write_found

    path, labels = folder / "test.csv", detector.card.classes
    write_found(found, labels, path)
    if not np.array_equal(read_found(path, labels).action, found.action):
        raise StadkitError("scores changed in a CSV round trip; please report it")
    return f"{path.stat().st_size} bytes, identical when read back", True


def _compare(found: Detections, detector: Any) -> tuple[str, bool]:
    import torch

    rows = result_rows(found)
    digest = hashlib.sha256(rows.round(2).tobytes()).hexdigest()[:12]
    if detector.sha256 != WEIGHTS:
        return f"no known result for these weights; got {digest}", True
    exact = detector.device.type == "cpu" and detector.precision is torch.float32
    expected = np.array(EXPECTED, np.float32)
    tolerance = FP32_TOLERANCE if exact else OTHER_TOLERANCE
    if rows.shape != expected.shape:
        raise StadkitError(f"{len(rows)} people instead of {len(expected)}: {_fix(exact)}")
    error = float(np.abs(rows - expected).max())
    if not error <= tolerance:
        raise StadkitError(f"results differ by {error:.3g} (allowed {tolerance:g}): {_fix(exact)}")
    return f"results {digest}, largest difference {error:.1g} (allowed {tolerance:g})", True


def _fix(exact: bool) -> str:
    if exact:
        return "reinstall torch (`pip install --force-reinstall torch`) or report it"
    return "use --device cpu --precision fp32, and report the output of `stadkit doctor --json`"


def result_rows(found: Detections) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Rows in the layout of EXPECTED: [n, 6]."""
    return np.column_stack([found.box, found.person, found.action.max(1)]).astype(np.float32)


def main() -> None:
    """Print WEIGHTS and EXPECTED for the current built-in weights."""
    from stadkit.detection import load

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "test.mp4"
        _write_video(path)
        detector = load(MODEL, "cpu", "fp32")
        rows = result_rows(_find(detector, path)[1])
    print(f'WEIGHTS = "{detector.sha256}"')
    print(f"EXPECTED = {tuple(tuple(round(float(x), 4) for x in row) for row in rows)}")


if __name__ == "__main__":
    main()
