"""Memory does not grow with the length of a video."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = """
import sys
from pathlib import Path
import torch
from torch import nn
from stadkit import zoo
from stadkit.memory import peak
from stadkit.detection import Detector, DetectOptions, detect_video
from stadkit.models import Outputs

class Cheap(nn.Module):
    def forward(self, pixels, sizes):
        b = len(pixels)
        box = torch.tensor([0.1, 0.1, 0.6, 0.9]).expand(b, 5, 1, 4)
        return Outputs(torch.ones(b, 5), box, torch.zeros(b, 5, 80))

torch.set_num_threads(1)
detector = Detector(Cheap(), zoo.card("mestad-slowonly-r50"), "cpu", "fp32")
for path in sys.argv[1:]:
    found = detect_video(detector, path, DetectOptions(every=1.0))
    print(len(found.keyframes), len(found.table), peak())
"""


@pytest.mark.slow
def test_ten_minutes_need_little_more_than_one(
    make_video: Callable[..., Path], tmp_path: Path
) -> None:
    short = make_video("short.mp4", seconds=60, rate=5)
    long = make_video("long.mp4", seconds=600, rate=5)
    command = [sys.executable, "-c", SCRIPT, str(short), str(long)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    one, ten = (list(map(int, line.split())) for line in done.stdout.splitlines())
    assert (one[:2], ten[:2]) == ([60, 300], [600, 3000])
    assert ten[2] - one[2] < 50e6
