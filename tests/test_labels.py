"""AVA's lists, and valid and invalid label files in every format."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stadkit.errors import AnnotationError
from stadkit.labels import Labels, ava, ava_groups, ava_scored, read_labels, write_labels

THREE = Labels((1, 5, 12), ("bend/bow (at the waist)", "fall down", "stand"))

ITEMS = """
item {
  name: "bend/bow (at the waist)"
  id: 1
}
item { name: 'fall down' id: 5 }  # a comment
item: { id: 12, name: "stand" }
"""
TYPED = """label {
  name: "bend/bow (at the waist)"
  label_id: 1
  label_type: PERSON_MOVEMENT
}
label { label_id: 5 name: "fall down" label_type: PERSON_MOVEMENT }
label { name: "st\\141nd" label_id: 12 }
"""
NUMBERED = "1: bend/bow (at the waist)\n5: fall down\n\n 12 :stand \n"
JSON = '{\n "bend/bow (at the waist)": 1,\n "fall down": 5,\n "st\\u0061nd": 12}'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "labels"


def test_ava() -> None:
    labels = ava()
    assert len(labels) == 80
    assert labels.ids == tuple(range(1, 81))
    assert labels.names[11] == "stand"
    assert labels.names[13] == "walk"
    assert labels.names[79] == "watch (a person)"


def test_ava_scored() -> None:
    labels = ava_scored()
    assert len(labels) == 60
    rare = {2, 16, 18, 19, 21, 23, 25, 31, 32, 33, 35, 39, 40, 42, 44, 50, 53, 55, 71, 75}
    assert set(range(1, 81)) - set(labels.ids) == rare
    assert "crawl" not in labels.names
    assert all(ava().names[n - 1] == m for n, m in zip(labels.ids, labels.names, strict=True))


def test_ava_groups_are_the_80() -> None:
    groups = ava_groups()
    assert [len(names) for names in groups.values()] == [14, 49, 17]
    assert sum(groups.values(), ()) == ava().names
    assert groups["object"][0] == "answer phone"
    assert groups["interaction"][-1] == "watch (a person)"


@pytest.mark.parametrize("text", [ITEMS, TYPED, NUMBERED, JSON])
@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_formats_agree(text: str, start: str, end: str, file: Path) -> None:
    file.write_bytes((start + text.replace("\n", end)).encode())
    assert read_labels(file) == THREE


def test_plain_names_are_numbered_from_one(file: Path) -> None:
    file.write_text("wave\n\n  sit down: on a chair \n3 steps\n")
    assert read_labels(file) == Labels((1, 2, 3), ("wave", "sit down: on a chair", "3 steps"))


def test_braces_in_names_do_not_start_blocks(file: Path) -> None:
    file.write_text("0: {\n1: item {\n")
    assert read_labels(file).names == ("{", "item {")


def test_escapes_and_marks_inside_names(file: Path) -> None:
    file.write_text(
        'item { name: "say \\"hi\\" {#1}" id: 0 }\nitem{name:"\\303\\251t\\xc3\\xa9" id:1}'
    )
    assert read_labels(file).names == ('say "hi" {#1}', "été")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no labels; write"),
        ("\n \n", "no labels; write"),
        ("{}", "no labels; write"),
        ("1: sit\nstand\n", ":2: 'stand' is not a '1: name' line"),
        ("1: sit\n1: stand\n", ":2: 1 duplicates line 1"),
        ("1: sit\n\n2: sit\n", ":3: 'sit' duplicates line 1"),
        ("sit\nstand\nsit\n", ":3: 'sit' duplicates line 1"),
        ("1: sit\n2:\n", ":2: invalid name ''"),
        ("sit\nst\tand\n", r":2: invalid name 'st\\tand'"),
        ('{"sit": 1, "sit": 2}', ":1: 'sit' duplicates line 1"),
        ('{"sit": 1,\n "stand": "2"}', ":2: the id of 'stand' is '2'; wants an integer"),
        ('{"sit": true}', ":1: the id of 'sit' is True"),
        ('{"sit": -1}', ":1: the id of 'sit' is -1"),
        ('{"sit": 1.0}', ":1: the id of 'sit' is 1.0"),
        ('{"sit": 1,\n "stand" 2}', ":2: Expecting ':' delimiter"),
        ('{"a": ' * 100_000, "not a flat"),
        ('item { name: "sit" id: 1 }\nitem { name: "x" }', ":2: the id of 'x' is 'missing'"),
        ("item { id: 1 }", ":1: invalid name ''"),
        ('item { name: "sit" id: 1 \n', ":2: expected 'name: value' or '}'"),
        ('item { name: "sit\n" id: 1 }', ":1: expected 'name: value' or '}'"),
        ('item { name: "sit" id: 1 }\nrest', ":2: expected 'item {' or 'label {'"),
        ('item { name: "sit" id: 1.5 }', ":1: the id of 'sit' is '1.5'"),
    ],
)
def test_wrong_files_name_the_line(text: str, message: str, file: Path) -> None:
    file.write_text(text)
    with pytest.raises(AnnotationError) as caught:
        read_labels(file)
    assert str(caught.value).startswith(str(file))
    assert message.replace("\\\\", "\\") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_not_label_files(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe1\x00:\x00")
    (tmp_path / "large").write_bytes(b"a" * 1_000_001)
    for name, reason in [
        ("bytes", "not UTF-8"),
        ("large", "too large"),
        ("absent", "does not exist"),
        (".", "is not a file"),
    ]:
        with pytest.raises(AnnotationError, match=reason):
            read_labels(tmp_path / name)


@pytest.mark.parametrize(
    ("ids", "names", "message"),
    [
        ((1,), ("sit", "stand"), "1 ids and 2 names"),
        ((1, 1), ("sit", "stand"), "duplicate"),
        ((1, 2), ("sit", "sit"), "duplicate"),
        ((-1,), ("sit",), "wants an integer"),
        ((1,), (" sit",), "invalid name"),
        ((1,), ("",), "invalid name"),
        ((1,), ("a\u2028b",), "invalid name"),
    ],
)
def test_invalid_labels_are_rejected(
    ids: tuple[int, ...], names: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Labels(ids, names)


def test_written_lines(file: Path) -> None:
    write_labels(Labels((3, 1), ("sit", "stand")), file)
    assert file.read_text() == "3: sit\n1: stand\n"
    assert [path.name for path in file.parent.iterdir()] == ["labels"]


name = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1)
name = name.map(str.strip).filter(bool)


@given(
    st.dictionaries(name, st.integers(0, 999_999_999), min_size=1, max_size=5).filter(
        lambda pairs: len(set(pairs.values())) == len(pairs)
    )
)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, pairs: dict[str, int]) -> None:
    file = tmp_path_factory.getbasetemp() / "round_trip_labels.txt"
    labels = Labels(tuple(pairs.values()), tuple(pairs))
    write_labels(labels, file)
    assert read_labels(file) == labels
