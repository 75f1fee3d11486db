"""A replaced file is either the old one or the complete new one."""

from pathlib import Path

import pytest

from stadkit.atomic import replacing


def test_the_file_is_replaced_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as part:
        part.write_text("new, ")
        assert path.read_text() == "old"
        assert part.parent == tmp_path  # a rename crosses no file systems
        part.write_text("new, whole")
    assert path.read_text() == "new, whole"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("before", [["a.txt"], []])
def test_an_exception_keeps_the_old_file_and_removes_the_partial_one(
    tmp_path: Path, before: list[str]
) -> None:
    for name in before:
        (tmp_path / name).write_text("old")

    def write() -> None:
        with replacing(tmp_path / "a.txt") as part:
            part.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert [path.name for path in tmp_path.iterdir()] == before
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"] * len(before)


def test_concurrent_writers_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with replacing(path) as one, replacing(path) as other:
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"  # whose block ended last
    assert list(tmp_path.iterdir()) == [path]
