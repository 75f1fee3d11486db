"""A light model leaves a core to decoding; torch's threads are restored afterwards."""

from collections.abc import Iterator

import pytest
import torch

from stadkit.detection import Detector
from stadkit.runs.threads import threads_beside_decoding
from stadkit.video.keys import Every

CORES = 4


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Torch uses all cores, and the environment does not set their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(CORES)
    monkeypatch.setattr("stadkit.runs.threads.cores", lambda: CORES)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    yield
    torch.set_num_threads(before)


def threads_inside(detector: Detector, threads: int = 0, every: Every | None = None) -> int:
    before = torch.get_num_threads()
    with threads_beside_decoding(threads, detector, every):
        inside = torch.get_num_threads()
    assert torch.get_num_threads() == before
    return inside


def test_a_light_model_leaves_a_core(fake_detector: Detector) -> None:
    assert threads_inside(fake_detector) == 3


def test_explicit_numbers_are_used(
    fake_detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [threads_inside(fake_detector, threads) for threads in (4, 1, 2)] == [4, 1, 2]
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert threads_inside(fake_detector) == 4


def test_if_a_core_is_free_all_threads_stay(fake_detector: Detector) -> None:
    torch.set_num_threads(2)
    assert threads_inside(fake_detector) == 2


def test_a_heavy_model_gets_all_cores(
    fake_detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert threads_inside(fake_detector, every=0.1) == 4
    assert threads_inside(fake_detector, every="frame") == 4
    monkeypatch.setattr("stadkit.runs.threads.LIGHT_PARAMETERS", 0)
    assert threads_inside(fake_detector) == 4


def test_one_core_gives_one_thread(
    fake_detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stadkit.runs.threads.cores", lambda: 1)
    torch.set_num_threads(1)
    assert threads_inside(fake_detector) == 1


def test_threads_are_restored_after_an_error(fake_detector: Detector) -> None:
    with pytest.raises(KeyboardInterrupt), threads_beside_decoding(0, fake_detector, None):
        raise KeyboardInterrupt
    assert torch.get_num_threads() == CORES
