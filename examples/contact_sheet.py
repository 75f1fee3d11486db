"""Draws some frames of a video side by side.

python examples/contact_sheet.py runs/demo/room.mp4 runs/demo/sheet.png
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from stadkit.video.decode import open_video


def frames_at(path: Path, times: list[float]) -> list[np.ndarray]:
    """The first frame at or after each time (seconds, ascending), as RGB [H, W, 3]."""
    pending, frames = list(times), []
    with open_video(path) as video:
        for frame in video:
            while pending and frame.time >= pending[0] - 1e-6:
                frames.append(frame.rgb())
                pending.pop(0)
            if not pending:
                break
    return frames


def shrink(frame: np.ndarray, width: int) -> np.ndarray:
    """Resize a frame [H, W, 3] to at most `width` pixels, keeping its aspect ratio."""
    scale = min(1.0, width / frame.shape[1])
    size = (round(frame.shape[1] * scale), round(frame.shape[0] * scale))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))


def sheet(frames: list[np.ndarray], columns: int) -> np.ndarray:
    """Tile frames of one size in rows of `columns`; the last row is padded with black."""
    blank = np.zeros_like(frames[0])
    rows = [frames[i : i + columns] for i in range(0, len(frames), columns)]
    rows[-1] += [blank] * (columns - len(rows[-1]))
    return np.vstack([np.hstack(row) for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--every", type=float, default=1.5, help="seconds between frames")
    parser.add_argument("--frames", type=int, default=6)
    parser.add_argument("--columns", type=int, default=3)
    parser.add_argument("--width", type=int, default=400, help="maximum frame width in pixels")
    args = parser.parse_args()
    times = [0.5 + args.every * i for i in range(args.frames)]
    frames = [shrink(frame, args.width) for frame in frames_at(args.video, times)]
    image = sheet(frames, args.columns)
    cv2.imwrite(str(args.picture), image[..., ::-1])
    print(args.picture)


if __name__ == "__main__":
    main()
