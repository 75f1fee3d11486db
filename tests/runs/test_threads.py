"""A light model leaves a core to decoding; what is asked for is done, and then undone."""

from collections.abc import Iterator

import pytest
import torch

from stadkit.detection import Detector
from stadkit.runs.threads import threads_beside_decoding
from stadkit.video.keys import Every

CORES = 4


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All of which torch uses, and nobody has said how many."""
    before = torch.get_num_threads()
    torch.set_num_threads(CORES)
    monkeypatch.setattr("stadkit.runs.threads.cores", lambda: CORES)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    yield
    torch.set_num_threads(before)


def chosen(detector: Detector, threads: int = 0, every: Every | None = None) -> int:
    before = torch.get_num_threads()
    with threads_beside_decoding(threads, detector, every):
        inside = torch.get_num_threads()
    assert torch.get_num_threads() == before
    return inside


def test_a_light_model_leaves_a_core(fake_detector: Detector) -> None:
    assert chosen(fake_detector) == 3


def test_what_is_asked_for_is_done(
    fake_detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [chosen(fake_detector, threads) for threads in (4, 1, 2)] == [4, 1, 2]
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert chosen(fake_detector) == 4


def test_where_a_core_is_free_none_is_left(fake_detector: Detector) -> None:
    torch.set_num_threads(2)
    assert chosen(fake_detector) == 2


def test_a_model_with_more_to_do_has_all(
    fake_detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chosen(fake_detector, every=0.1) == 4
    assert chosen(fake_detector, every="frame") == 4
    monkeypatch.setattr("stadkit.runs.threads.LIGHT_PARAMETERS", 0)
    assert chosen(fake_detector) == 4


def test_on_one_core_there_is_one(fake_detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stadkit.runs.threads.cores", lambda: 1)
    torch.set_num_threads(1)
    assert chosen(fake_detector) == 1


def test_they_are_as_before_when_it_fails(fake_detector: Detector) -> None:
    with pytest.raises(KeyboardInterrupt), threads_beside_decoding(0, fake_detector, None):
        raise KeyboardInterrupt
    assert torch.get_num_threads() == CORES
