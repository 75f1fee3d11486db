"""Query banks on disk: round trip, atomic writing, damage, and reading around a time."""

from __future__ import annotations

import errno
import json
import os
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stadkit.detection.bank import BankWriter, Header, NpyStream, QueryBank, Window, batch
from stadkit.errors import StadkitError
from stadkit.video.clips import Clip

HEADER = Header("stmixer-k-tiny", "a" * 64, width=4, every=1.0, min_person=0.5)


def clip(time: float) -> Clip:
    return Clip("v", np.zeros((1, 2, 2, 3), np.uint8), time, np.array([time]), (2, 2))


def entry(*first: float) -> NDArray[np.float32]:
    """Entries of 4 channels, distinguished by the first."""
    made = np.zeros((len(first), 4), np.float32)
    made[:, 0] = first
    return made


def scores(*person: float) -> NDArray[np.float32]:
    return np.array(person, np.float32)


def written(folder: Path, *people: tuple[float, list[float], list[float]]) -> QueryBank:
    """A bank of (time, person scores, first channels of entries) for each clip."""
    with BankWriter(folder, HEADER) as writer:
        for time, person, first in people:
            writer.add(clip(time), scores(*person), entry(*first))
    return QueryBank(folder)


def test_round_trip(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "v.queries"
    bank = written(folder, (0.0, [0.9, 0.4, 0.5], [1, 2, 3]), (1.0, [0.1], [4]), (2.0, [0.8], [5]))
    assert sorted(os.listdir(folder)) == ["entry.npy", "header.json", "person.npy", "time.npy"]
    held = json.loads((folder / "header.json").read_text())
    assert (held["model"], held["entries"], held["width"]) == ("stmixer-k-tiny", 3, 4)
    assert sorted(held["files"]) == ["entry.npy", "person.npy", "time.npy"]
    # People below the threshold of .5 are left out. Plain NumPy reads the files.
    assert np.load(folder / "entry.npy")[:, 0].tolist() == [1, 3, 5]
    np.testing.assert_array_equal(np.load(folder / "person.npy"), scores(0.9, 0.5, 0.8))
    assert np.load(folder / "time.npy").tolist() == [0, 0, 2]
    assert replace(bank.header, entries=0, files={}) == HEADER


def test_the_window_excludes_the_time_itself(tmp_path: Path) -> None:
    times = [0.0, 1.5, 2.0, 2.5, 4.0, 4.001]
    bank = written(tmp_path / "v.queries", *((t, [0.9], [t]) for t in times))
    got, seconds = bank.near(2.0, window=4)
    assert got.dtype == np.float32
    assert got[:, 0].tolist() == [0, 1.5, 2.5, 4]
    assert seconds.tolist() == [-2, -0.5, 0.5, 2]
    assert bank.near(9.0, window=4)[0].shape == (0, 4)
    assert bank.near(2.0, window=0)[0].shape == (0, 4)


def test_the_highest_scores_in_order_of_time(tmp_path: Path) -> None:
    people = zip([0.0, 1.0, 2.0, 3.0], [0.6, 0.9, 0.7, 0.9], strict=True)
    bank = written(tmp_path / "v.queries", *((t, [p], [t]) for t, p in people))
    assert bank.near(10.0, window=60, max_entries=2)[0][:, 0].tolist() == [1, 3]
    assert bank.near(10.0, window=60, max_entries=3)[0][:, 0].tolist() == [1, 2, 3]
    assert bank.near(10.0, window=60, max_entries=0)[0].shape == (0, 4)


def test_clips_are_padded_to_the_most_people(tmp_path: Path) -> None:
    bank = written(tmp_path / "v.queries", (0.0, [0.9, 0.8], [1, 2]), (3.0, [0.9], [3]))
    got = Window(bank, seconds=8).around([clip(0.0), clip(1.0), clip(50.0)])
    assert got.known.tolist() == [[True, False, False], [True] * 3, [False] * 3]
    assert got.entry[..., 0].tolist() == [[3, 0, 0], [1, 2, 3], [0, 0, 0]]
    assert got.seconds.tolist() == [[3, 0, 0], [-1, -1, 2], [0, 0, 0]]
    assert got.entry.dtype == torch.float32
    assert Window(bank, seconds=8, max_entries=1).around([clip(1.0)]).entry[..., 0].tolist() == [
        [1]
    ]


def test_a_video_without_people(tmp_path: Path) -> None:
    bank = written(tmp_path / "v.queries", (0.0, [0.1], [1]))
    assert bank.header.entries == 0
    assert batch([bank.near(0.5, 60)]).entry.shape == (1, 0, 4)


def test_entries_too_large_for_half_floats(tmp_path: Path) -> None:
    bank = written(tmp_path / "v.queries", (0.0, [0.9], [1e6]))
    assert bank.near(1.0, 60)[0][0, 0] == 65504


def test_an_error_removes_the_bank(tmp_path: Path) -> None:
    folder = tmp_path / "v.queries"
    written(folder, (0.0, [0.9], [1]))
    (folder / "notes.txt").write_text("mine")

    def broken() -> None:
        with BankWriter(folder, HEADER) as writer:
            writer.add(clip(0.0), scores(0.9), entry(1))
            raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        broken()
    assert os.listdir(folder) == ["notes.txt"]
    (folder / "notes.txt").unlink()
    with pytest.raises(RuntimeError, match="disk"):
        broken()
    assert not folder.exists()


def test_an_unfinished_bank_cannot_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "v.queries"
    written(folder, (0.0, [0.9], [1]))
    with BankWriter(folder, HEADER) as writer:
        writer.add(clip(0.0), scores(0.9), entry(2))
        with pytest.raises(StadkitError, match=r"v\.queries: no query bank \(incomplete\)"):
            QueryBank(folder)
    assert QueryBank(folder).near(1.0, 60)[0][0, 0] == 2


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    header = replace(HEADER, width=512)
    people, person = np.ones((20, 512), np.float32), np.full(20, 0.9, np.float32)

    def peak(clips: int) -> int:
        tracemalloc.start()
        with BankWriter(tmp_path / "v.queries", header) as writer:
            for i in range(clips):
                writer.add(clip(i), person, people)
        bank = QueryBank(tmp_path / "v.queries")
        assert len(bank.near(1.0, 20)[0]) > 0
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    few, many = peak(50), peak(1000)  # 1 MB and 20 MB of entries
    assert many < few + 1_000_000


def damage(folder: Path, how: str) -> None:
    header = folder / "header.json"
    if how == "cut":
        (folder / "entry.npy").write_bytes((folder / "entry.npy").read_bytes()[:-3])
    elif how == "gone":
        (folder / "person.npy").unlink()
    elif how == "text":
        header.write_text("hello")
    elif how == "other fields":
        header.write_text('{"model": "x"}')
    elif how == "other count":
        header.write_text(header.read_text().replace('"entries": 2', '"entries": 3'))
    elif how == "objects":
        np.save(folder / "entry.npy", np.array([{}, {}], object), allow_pickle=True)
    elif how == "doubles":
        np.save(folder / "entry.npy", np.zeros((2, 4)))
    elif how == "empty":
        (folder / "entry.npy").write_bytes(b"")
    elif how == "longer":
        (folder / "entry.npy").write_bytes((folder / "entry.npy").read_bytes() + b"more")
    elif how == "zip":
        np.savez(folder / "entry", np.zeros(2))
        (folder / "entry.npz").rename(folder / "entry.npy")
    elif how == "no digests":
        header.write_text(json.dumps(json.loads(header.read_text()) | {"files": None}))
    elif how == "times":
        np.save(folder / "time.npy", np.array([0, np.nan]))


DAMAGES = "cut gone text other_fields other_count objects doubles empty longer zip no_digests times"


@pytest.mark.parametrize("how", [how.replace("_", " ") for how in DAMAGES.split()])
def test_damage_is_reported_in_one_line(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "v.queries"
    written(folder, (0.0, [0.9, 0.8], [1, 2]))
    damage(folder, how)
    with pytest.raises(StadkitError, match="make the bank again with `detect --save-queries`") as e:
        QueryBank(folder)
    assert str(e.value).startswith(str(folder))
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("name", ["time", "person", "entry"])
def test_changed_bytes_are_found_by_the_sha256(tmp_path: Path, name: str) -> None:
    bank = written(tmp_path / "v.queries", (7.0, [0.9, 0.8], [1, 2]))
    assert bank.whole() is bank
    path = tmp_path / "v.queries" / f"{name}.npy"
    path.write_bytes(path.read_bytes()[:-8] + b"\1" * 8)  # finite values too
    with pytest.raises(StadkitError, match=rf"{name}\.npy: has changed since it was written"):
        QueryBank(tmp_path / "v.queries").whole()


def test_entries_that_are_not_finite(tmp_path: Path) -> None:
    written(tmp_path / "v.queries", (0.0, [0.9], [1]), (9.0, [0.9], [2]))
    path = tmp_path / "v.queries" / "entry.npy"
    path.write_bytes(path.read_bytes()[:-8] + b"\xff" * 8)  # the second entry is all NaN
    bank = QueryBank(tmp_path / "v.queries")
    assert bank.near(1.0, window=4)[0][:, 0].tolist() == [1]
    with pytest.raises(StadkitError, match=r"entry\.npy: holds values that are not finite; make"):
        bank.near(8.0, window=4)


def test_no_file_is_left_open(tmp_path: Path) -> None:
    written(tmp_path / "v.queries", (0.0, [0.9], [1]))
    before = len(os.listdir("/dev/fd"))
    banks = [QueryBank(tmp_path / "v.queries").whole() for _ in range(20)]
    near = [bank.near(1.0, window=4) for bank in banks]
    assert len(near) == 20
    assert len(os.listdir("/dev/fd")) == before


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (
            errno.EMFILE,
            "Too many open files; raise the limit, as with `ulimit -n 4096`, and start again",
        ),
        (errno.EACCES, "Permission denied; fix that, and start again"),
    ],
)
def test_system_errors_are_not_reported_as_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    bank = written(tmp_path / "v.queries", (0.0, [0.9], [1]))

    def failing(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(np.lib.format, "open_memmap", failing)
    with pytest.raises(StadkitError, match=rf"entry\.npy: cannot be read now, {reason}$"):
        bank.near(1.0, window=4)
    monkeypatch.setattr(Path, "read_bytes", failing)
    with pytest.raises(StadkitError, match=rf"header\.json: cannot be read now, {reason}$"):
        QueryBank(tmp_path / "v.queries")


def test_a_bank_replaced_while_in_use(tmp_path: Path) -> None:
    bank = written(tmp_path / "v.queries", (0.0, [0.9], [1]))
    again = written(tmp_path / "v.queries", (0.0, [0.9], [2]))
    assert again.near(1.0, window=4)[0][0, 0] == 2
    with pytest.raises(StadkitError, match=r"v\.queries: has changed while in use; start"):
        bank.near(1.0, window=4)


def test_a_missing_bank(tmp_path: Path) -> None:
    with pytest.raises(StadkitError, match=r"no query bank \(no such folder\)"):
        QueryBank(tmp_path / "v.queries")


def test_another_width_or_model(tmp_path: Path) -> None:
    bank = written(tmp_path / "v.queries", (0.0, [0.9], [1]))
    assert bank.fits(4) is bank
    assert bank.fits(4, "a" * 64) is bank
    with pytest.raises(
        StadkitError, match=r"entries have 4 channels \(made by .*\), this model reads 192"
    ):
        bank.fits(192)
    with pytest.raises(
        StadkitError, match=r"made by stmixer-k-tiny, weights aaaaaaaaaaaaaaaa\.\.\."
    ):
        bank.fits(4, "b" * 64)


@pytest.mark.parametrize("rows", [0, 1, 12345])
def test_a_stream_equals_numpy_save(tmp_path: Path, rows: int) -> None:
    whole: NDArray[Any] = np.arange(rows * 3, dtype="<f4").reshape(rows, 3)
    stream = NpyStream(tmp_path / "a.npy", "<f4", (3,))
    for part in np.array_split(whole, 7):
        stream.write(part)
    stream.close()
    np.save(tmp_path / "b.npy", whole)
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()
