"""A light model leaves a core to decoding; what is asked for is done."""

from collections.abc import Iterator

import pytest
import torch

from stadkit.cli.threads import cores, use_threads_beside_decoding
from stadkit.detect import Detector


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """All cores, and afterwards what it was."""
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stadkit.cli.threads.cores", lambda: 4)


def chosen(detector: Detector, threads: int = 0, every: float | None = None) -> int:
    use_threads_beside_decoding(threads, detector, every)
    return torch.get_num_threads()


def test_a_light_model_leaves_a_core_once(fake_detector: Detector) -> None:
    assert chosen(fake_detector) == 3
    assert chosen(fake_detector) == 3


def test_what_is_asked_for_is_done(fake_detector: Detector) -> None:
    assert [chosen(fake_detector, threads) for threads in (4, 1, 2)] == [4, 1, 2]
    assert chosen(fake_detector) == 2  # fewer than cores: somebody wanted that


def test_a_model_with_more_to_do_has_all(
    fake_detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chosen(fake_detector, every=0.1) == 4
    monkeypatch.setattr("stadkit.cli.threads.LIGHT", 0)
    assert chosen(fake_detector) == 4


def test_on_one_core_there_is_one(fake_detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stadkit.cli.threads.cores", lambda: 1)
    torch.set_num_threads(1)
    assert chosen(fake_detector) == 1


def test_counts_cores() -> None:
    assert cores() >= 1
