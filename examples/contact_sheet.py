"""A picture of a video: some of its frames, side by side.

python examples/contact_sheet.py runs/demo/room.mp4 runs/demo/sheet.png
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from stadkit.video.decode import open_video


def frames_at(path: Path, times: list[float]) -> list[np.ndarray]:
    """The first frame at or after each time (seconds, ascending), as RGB [H, W, 3]."""
    waiting, frames = list(times), []
    with open_video(path) as video:
        for frame in video:
            while waiting and frame.time >= waiting[0] - 1e-6:
                frames.append(frame.rgb())
                waiting.pop(0)
            if not waiting:
                break
    return frames


def narrowed(frame: np.ndarray, width: int) -> np.ndarray:
    """A frame [H, W, 3] at most `width` pixels wide, its aspect kept."""
    by = min(1.0, width / frame.shape[1])
    size = (round(frame.shape[1] * by), round(frame.shape[0] * by))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))


def sheet(frames: list[np.ndarray], columns: int) -> np.ndarray:
    """Frames of one size in rows of `columns`; the last row is filled with black."""
    blank = np.zeros_like(frames[0])
    rows = [frames[i : i + columns] for i in range(0, len(frames), columns)]
    rows[-1] += [blank] * (columns - len(rows[-1]))
    return np.vstack([np.hstack(row) for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--every", type=float, default=1.5, help="seconds")
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--columns", type=int, default=3)
    parser.add_argument("--width", type=int, default=400, help="of a frame, pixels at most")
    asked = parser.parse_args()
    times = [0.5 + asked.every * i for i in range(asked.frames)]
    frames = [narrowed(frame, asked.width) for frame in frames_at(asked.video, times)]
    picture = sheet(frames, asked.columns)
    cv2.imwrite(str(asked.picture), picture[..., ::-1])
    print(asked.picture)


if __name__ == "__main__":
    main()
