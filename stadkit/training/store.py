"""Clips kept on disk as JPEG strips, so that each is decoded or rendered once."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

QUALITY = 95  # of the JPEGs: 4:2:0 chroma and no visible blocks


class ClipStore:
    """A folder of .npz files: a clip's frames as one JPEG strip, and arrays beside it."""

    def __init__(self, folder: Path, made_from: Any) -> None:
        """`made_from` (JSON-able) names what the clips depend on: other settings, other folder."""
        text = json.dumps(made_from, sort_keys=True, default=str)
        self.folder = folder / hashlib.sha256(text.encode()).hexdigest()[:16]
        self.folder.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Where the clip of this name lies; any text makes a valid name."""
        plain = "".join(c if c.isalnum() or c in "-_." else f"%{ord(c):x}" for c in name)
        return self.folder / f"{plain}.npz"

    def __contains__(self, name: str) -> bool:
        return self.path(name).exists()

    def put(self, name: str, pixels: NDArray[np.uint8], **arrays: NDArray[Any]) -> None:
        """Keep pixels [T, H, W, 3] RGB and the arrays; a reader never sees half a file."""
        frames, height, width, _ = pixels.shape
        strip = cv2.cvtColor(pixels.reshape(frames * height, width, 3), cv2.COLOR_RGB2BGR)
        done, jpeg = cv2.imencode(".jpg", strip, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if not done:
            raise ValueError(f"a clip of {frames} frames of {width}x{height} is too large a JPEG")
        path = self.path(name)
        part = path.with_name(f".{os.getpid()}-{path.name}")
        with part.open("wb") as file:
            kept: dict[str, Any] = {"jpeg": jpeg, "frames": np.array(frames), **arrays}
            np.savez(file, **kept)
        os.replace(part, path)

    def get(self, name: str) -> tuple[NDArray[np.uint8], dict[str, NDArray[Any]]]:
        """(pixels [T, H, W, 3] RGB, the arrays) of a clip kept before; raises FileNotFoundError."""
        with np.load(self.path(name), allow_pickle=False) as kept:
            arrays = {key: kept[key] for key in kept.files if key not in ("jpeg", "frames")}
            strip = cv2.imdecode(kept["jpeg"], cv2.IMREAD_COLOR)
            frames = int(kept["frames"])
        if strip is None:
            raise ValueError(f"{self.path(name)}: damaged; delete it, it will be made again")
        rgb = cv2.cvtColor(strip, cv2.COLOR_BGR2RGB)
        pixels = rgb.reshape(frames, rgb.shape[0] // frames, rgb.shape[1], 3)
        return np.asarray(pixels, np.uint8), arrays
