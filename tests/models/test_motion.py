"""Histograms of flow: directions by hand, moving boxes, camera motion."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from stadkit.models.motion import (
    BINS,
    CELLS,
    CHANNELS,
    NUMBERS,
    box_motion,
    directions,
    motion_maps,
)

RIGHT, DOWN, LEFT, UP = 0, 2, 4, 6  # direction bins; y points down
HEIGHT, WIDTH, TIMES = 64, 96, 4


def noise(height: int, width: int, seed: int) -> Tensor:
    """Smooth grey noise [3, height, width], levels 0..1."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 1, height // 4 + 1, width // 4 + 1, generator=random)
    fine = F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=False)
    return fine[0].clamp(0, 1).expand(3, -1, -1)


def film(box_step: tuple[int, int] = (0, 0), camera_step: tuple[int, int] = (0, 0)) -> Tensor:
    """A textured box of 24 x 24 at x 36, y 20 on a background; both move by these pixels x y
    a frame: [TIMES, 3, HEIGHT, WIDTH]."""
    behind, box = noise(HEIGHT + 40, WIDTH + 40, 1), noise(24, 24, 2)
    frames = []
    for time in range(TIMES):
        x, y = (20 - time * step for step in camera_step)
        frame = behind[:, y : y + HEIGHT, x : x + WIDTH].clone()
        x, y = (at + time * step for at, step in zip((36, 20), box_step, strict=True))
        frame[:, y : y + 24, x : x + 24] = box
        frames.append(frame)
    return torch.stack(frames)


def moves(frames: Tensor, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Tensor:
    """`motion_maps` of consecutive clips."""
    place = torch.arange(len(frames)).view(-1, TIMES)
    return motion_maps(frames, place, torch.tensor([size] * len(place)))


def test_directions_by_hand() -> None:
    x, y = (torch.tensor(row)[None, None, None] for row in ([2.0, 0.0, 3.0, -1.0], [0, -2.0, 4, 0]))
    found = directions(x, y)[0, :, 0].T  # one row per vector
    assert found[0].tolist() == [2, 0, 0, 0, 0, 0, 0, 0]
    torch.testing.assert_close(found[1], torch.eye(BINS)[UP] * 2)
    # 53.13 degrees at 45 per direction: bin 1.1806.
    shared = [0, 5 * 0.8194, 5 * 0.1806, 0, 0, 0, 0, 0]
    torch.testing.assert_close(found[2], torch.tensor(shared), atol=1e-3, rtol=0)
    torch.testing.assert_close(found[3], torch.eye(BINS)[LEFT])


def test_a_vectors_length_is_split_and_preserved() -> None:
    turn = torch.arange(0, 6.28, 0.01)
    found = directions(turn.cos()[None, None, None], turn.sin()[None, None, None])
    torch.testing.assert_close(found.sum(1), torch.ones(1, 1, len(turn)))
    assert (found > 1e-6).sum(1).max() <= 2


@pytest.mark.parametrize(
    ("step", "where"), [((2, 0), RIGHT), ((-2, 0), LEFT), ((0, 2), DOWN), ((0, -2), UP)]
)
def test_a_moving_box(step: tuple[int, int], where: int) -> None:
    maps = moves(film(step))
    assert maps.shape == (1, CHANNELS, HEIGHT, WIDTH)
    flow = maps[0, :BINS]
    inside = flow[:, 28:36, 44:52].mean((1, 2))  # inside the box in all frames
    assert inside.argmax() == where
    assert inside[where] == pytest.approx(2, abs=0.3)
    assert flow[:, :, :16].mean() < 0.02  # background, far from it


def test_box_motion_is_by_cell_and_scaled_by_height() -> None:
    maps = torch.zeros(2, CHANNELS, 8, 8)
    maps[1, DOWN, :2, 6:] = 0.16  # the whole cell in the first row and last column
    found = box_motion(maps, torch.tensor([[0.0, 0, 8, 8], [0, 0, 8, 8]]), torch.tensor([1, 0]))
    assert found.shape == (2, NUMBERS)
    cells = found[0].view(CHANNELS, CELLS, CELLS)
    # sqrt(.16 pixels in hundredths of 8) = sqrt(2); less where samples reach out of the cell.
    assert cells[DOWN, 0, 3] == pytest.approx(2**0.5, rel=0.2)
    assert cells.flatten().topk(1).indices == DOWN * CELLS**2 + 3
    assert cells[DOWN, 2:].abs().max() == 0
    assert found[1].abs().max() == 0
    doubled = box_motion(2 * maps, torch.tensor([[0.0, 0, 8, 8]]), torch.tensor([1]))
    torch.testing.assert_close(doubled[0], found[0] * 2**0.5)


def test_camera_motion_is_subtracted() -> None:
    still, panned = (moves(film(camera_step=step)) for step in ((0, 0), (2, 0)))
    assert still.abs().max() < 0.01
    edge = panned[0, :BINS, 16:-16, 12:28]  # background only
    assert edge.mean() < 0.02
    # A person still in the image moves relative to the camera.
    inside = panned[0, :BINS, 28:36, 44:52].mean((1, 2))
    assert inside.argmax() == LEFT
    assert inside[LEFT] == pytest.approx(2, abs=0.3)


def test_padding_is_ignored() -> None:
    """It does not affect the camera estimate and has no motion."""
    frames = film(camera_step=(2, 0))
    # If it were not ignored, its zeros would be the median, being the majority.
    padded = F.pad(frames, (0, 160, 0, 32), value=0.5)
    alone, beside = moves(frames), moves(padded)
    assert beside[..., HEIGHT:, :].abs().max() == 0
    assert beside[..., WIDTH:].abs().max() == 0
    near = beside[..., 8 : HEIGHT - 16, 8 : WIDTH - 16]
    assert (near - alone[..., 8 : HEIGHT - 16, 8 : WIDTH - 16]).abs().max() < 0.1
    without = moves(padded, (HEIGHT + 32, WIDTH + 160))
    assert without[0, :BINS, 16:-48, 12:28].mean() > 0.2


def test_the_median_is_computed_per_clip() -> None:
    both = torch.cat([film((2, 0)), film(camera_step=(0, 2))])
    found = moves(both)
    for number in range(2):
        alone = moves(both[TIMES * number :][:TIMES])
        torch.testing.assert_close(found[number], alone[0], atol=1e-4, rtol=0)


def test_mirroring_swaps_left_and_right() -> None:
    frames = film((2, 1))
    plain, mirrored = moves(frames), moves(frames.flip(-1))
    bins = torch.arange(BINS)
    turned, upside_down = (BINS // 2 - bins) % BINS, -bins % BINS
    # x changes sign, and so do its gradient along y and y's gradient along x.
    wanted = torch.cat([turned, upside_down + BINS, turned + 2 * BINS])
    torch.testing.assert_close(mirrored, plain[:, wanted].flip(-1), atol=1e-2, rtol=0)
