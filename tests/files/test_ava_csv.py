"""AVA CSV: ids byte for byte, times, people, faults by line, and round trips."""

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stadkit.detections import Detections, milliseconds
from stadkit.errors import AnnotationError, StadkitError
from stadkit.files.ava_csv import (
    PROPOSALS,
    read_found,
    read_keyframes,
    read_proposals,
    read_truth,
    write_found,
    write_truth,
)
from stadkit.files.rows import _faults, read_bytes
from stadkit.labels import Labels, ava

LABELS = Labels((12, 14, 80), ("stand", "walk", "watch"))
GOOD = "a,0902,.1,.2,.3,.4,12,1\n"
NAN = float("nan")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "boxes.csv"


def found(file: Path, text: str) -> Detections:
    file.write_bytes(text.encode())
    return read_found(file, LABELS)


def truth(file: Path, text: str) -> Detections:
    file.write_bytes(text.encode())
    return read_truth(file, LABELS)


def assert_same(a: Detections, b: Detections) -> None:
    assert a.classes == b.classes
    assert a.video.tolist() == b.video.tolist()
    assert milliseconds(a.time).tolist() == milliseconds(b.time).tolist()
    for column in ("box", "person", "action", "track"):
        np.testing.assert_array_equal(getattr(a, column), getattr(b, column))


def test_truth_rows_of_a_person_become_one(file: Path) -> None:
    table = truth(
        file,
        "a,0902,0.1,0.2,0.3,0.4,12,7\n"
        "a,0902,0.1,0.2,0.3,0.4,80,7\n"
        "a,0902,0.1,0.2,0.3,0.4,14,8\n"  # the same box, another person
        "a,0903,0.1,0.2,0.3,0.4,12,7\n"
        "b,0902,0.1,0.2,0.3,0.4,12,7\n"
        "a,902.0,0.1,0.2,0.3,0.4,14,7\n",  # the first again, its rows apart
    )
    assert table.video.tolist() == ["a", "a", "a", "b"]
    assert table.time.tolist() == [902, 902, 903, 902]
    assert table.track.tolist() == [7, 8, 7, 7]
    assert table.action.tolist() == [[1, 1, 1], [0, 1, 0], [1, 0, 0], [1, 0, 0]]
    assert table.person.tolist() == [1, 1, 1, 1]
    np.testing.assert_array_equal(table.box[0], np.array([0.1, 0.2, 0.3, 0.4], np.float32))
    assert table.classes == ("stand", "walk", "watch")


def test_truth_keeps_people_without_an_action(file: Path) -> None:
    # 2 and 16 are not in the labels; both rows belong to one person.
    idle = "a,1,0,0,1,1,,3\na,1,0,0,.5,1,,\nb,1,0,0,1,1,2,4\nb,1,0,0,1,1,16,4\n"
    table = truth(file, idle + "c,1,0,0,1,1,12,5\n")
    assert table.track.tolist() == [3, -1, 4, 5]
    assert table.action.sum(1).tolist() == [0, 0, 0, 1]


def test_truth_without_person_ids(file: Path) -> None:
    table = truth(file, "a,1,0,0,1,1,12\na,1,0,0,1,1,14\na,1,0,0,1,.5,14\n")
    assert table.track.tolist() == [-1, -1]
    assert table.action.tolist() == [[1, 1, 0], [0, 1, 0]]


def test_found_leaves_unlisted_classes_nan(file: Path) -> None:
    table = found(file, "a,1,0,0,1,1,80,0.25\na,1,0,0,1,1,12,0\na,1,0,0,.5,1,14,1\n")
    np.testing.assert_array_equal(table.action, [[0, NAN, 0.25], [NAN, 1, NAN]])
    assert np.isnan(table.person).all()
    assert table.track.tolist() == [-1, -1]


def test_found_skips_actions_missing_from_the_labels(file: Path) -> None:
    table = found(file, "a,1,0,0,1,1,2,.5\nb,1,0,0,1,1,12,.5\n")
    assert table.video.tolist() == ["b"]


def test_found_without_scores_has_ones(file: Path) -> None:
    assert found(file, "a,1,0,0,1,1,12\n").action[0, 0] == 1


def test_a_repeated_row_is_another_person(file: Path) -> None:
    row = "a,1,0,0,1,1,12,{}\n"
    table = found(file, row.format(0.8) + row.format(0.9) + "a,1,0,0,1,1,14,.5\n")
    np.testing.assert_array_equal(
        table.action, np.array([[0.8, 0.5, NAN], [0.9, NAN, NAN]], np.float32)
    )
    assert len(truth(file, row.format(3) * 2)) == 2


IDS = [
    "007",
    "NA",
    "nan",
    "true",
    "1e5",
    "-5KQ66BBWC4",
    "=cmd()",
    " a ",
    "#x",
    'say "hi", you',
    "ü",
]


@pytest.mark.parametrize("video", [*IDS, "null", "None", "+1", "0x10", "\ufeffa", "a;b", "'"])
def test_ids_are_kept_byte_for_byte(video: str, file: Path) -> None:
    table = replace(found(file, GOOD), video=np.array([video]))
    write_found(table, LABELS, file)
    assert read_found(file, LABELS).video.tolist() == [video]
    write_truth(replace(table, action=np.zeros((1, 3), np.float32)), LABELS, file)
    assert read_truth(file, LABELS).video.tolist() == [video]


def test_a_file_of_only_numeric_ids(file: Path) -> None:
    # One id that is no number would hide what a parser makes of those that are.
    assert found(file, "007,1,0,0,1,1,12,1\n1e5,1,0,0,1,1,12,1\n").video.tolist() == ["007", "1e5"]


@pytest.mark.parametrize(
    ("time", "printed"),
    [
        (902, "0902"),
        (0, "0000"),
        (12345, "12345"),
        (902.5, "0902.5"),
        (0.04, "0000.04"),
        (1 / 30, "0000.033"),
        (901.9996, "0902"),
        (-0.5, "-0000.5"),
    ],
)
def test_times_as_written(time: float, printed: str, file: Path) -> None:
    table = replace(found(file, GOOD), time=np.array([time], np.float64))
    write_found(table, LABELS, file)
    assert file.read_text().split(",")[1] == printed
    assert abs(read_found(file, LABELS).time[0] - time) <= 0.0005


@pytest.mark.parametrize("start", ["", "\ufeff", "\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n", "\n \n"])
@pytest.mark.parametrize("packed", [False, True])
def test_files_changed_by_editors(start: str, end: str, packed: bool, file: Path) -> None:
    data = (start + GOOD + '"a" ,0902, 1e-1 ,+.2,.3,.4,14,.5\n').replace("\n", end).encode()
    file.write_bytes(gzip.compress(data) if packed else data)
    table = read_found(file, LABELS)
    assert table.video.tolist() == ["a", "a "]
    np.testing.assert_array_equal(table.box[0], table.box[1])


@pytest.mark.parametrize("text", ["", "\n", " \r\n\n", "\ufeff"])
def test_no_rows_is_an_empty_table(text: str, file: Path) -> None:
    assert_same(found(file, text), Detections.empty(LABELS.names))
    assert_same(truth(file, text), Detections.empty(LABELS.names))
    assert len(read_keyframes(file)) == 0
    assert len(read_proposals(file)) == 0


def test_an_empty_table_writes_no_rows(file: Path) -> None:
    write_found(Detections.empty(LABELS.names), LABELS, file)
    assert file.read_bytes() == b""


FAULTS = [
    ("video,time,x1,y1,x2,y2,action,score\n" + GOOD, ":1: looks like a header"),
    ("a;0902;0,1;0,2;0,3;0,4;12;0,9\n", ":1: fields are separated by ';'"),
    ("a;0902;0.1;0.2;0.3;0.4;12;0.9\n", ":1: fields are separated by ';'"),
    (GOOD.replace(",", "\t"), ":1: fields are separated by tabs"),
    ("a,0902,0,1,0,2,0,3,0,4,12,0,9\n", ":1: has 13 columns and seems to use decimal commas"),
    (GOOD + 'a,1,"0,1",.2,.3,.4,12,1\n', ":2: x1: '0,1' has a decimal comma"),
    ("a,0902,.1,.2\n", ":1: has 4 columns, wants 7, 8 or 9: video, time, x1"),
    (GOOD + "a,1,.1,.2,.3,.4,12\n", ":2: has 7 columns, but the first line has 8"),
    (GOOD + "a,1,.1,.2,.3,.4,12,1,\n" * 3, ":2: has 9 columns, but the first line has 8 (3 i"),
    ("\n" + GOOD + "\na,1\n", ":4: has 2 columns"),
    (GOOD + "a\0,1,.1,.2,.3,.4,12,1\n", r":2: video: 'a\x00' contains a control character"),
    (GOOD + "a,1,.1,.2,.3,.4\0,12,1\n", r":2: y2: '.4\x00' is not a finite number"),
    (
        GOOD + '"a,1,.1,.2,.3,.4,12,1\n' + GOOD,
        ":2: unexpected end of data; check for an unclosed quote",
    ),
    (GOOD + '"a\nb",1,.1,.2,.3,.4,12,1\n', r":2: video: 'a\nb' contains a control character"),
    (GOOD + ",1,.1,.2,.3,.4,12,1\n", ":2: video: is empty"),
    (GOOD + "a,09:02,.1,.2,.3,.4,12,1\n", ":2: time: '09:02' is not a time in seconds"),
    (GOOD + "a,nan,.1,.2,.3,.4,12,1\n", ":2: time: 'nan'"),
    (GOOD + "a,1,nan,.2,.3,.4,12,1\n", ":2: x1: 'nan' is not a finite number"),
    (GOOD + "a,1,.1,-inf,.3,.4,12,1\n", ":2: y1: '-inf' is not a finite number"),
    (GOOD + "a,1,.1,.2,1e39,.4,12,1\n", ":2: x2: '1e39' is not a finite number"),
    (GOOD + "a,1,.1,.2,.3,,12,1\n", ":2: y2: '' is not a finite number"),
    (GOOD + "a,1,.1,.2,.3,1_0,12,1\n", ":2: y2: '1_0' is not a finite number"),
    (GOOD.replace(".1", "True"), ":1: x1: 'True' is not a finite number"),
    (GOOD + "a,1,.1,.2,.3,.4,walk,1\n", ":2: action: 'walk' is not an action id"),
    (GOOD + "a,1,.1,.2,.3,.4,,1\n", ":2: action: '' is not an action id"),
    (GOOD + "a,1,.1,.2,.3,.4,-2,1\n", ":2: action: '-2'"),
    (GOOD + "a,1,.1,.2,.3,.4,12,1.5\n" * 4, ":2: score: '1.5' is outside 0..1 (4 invalid lines)"),
    (GOOD + "a,1,.1,.2,.3,.4,12,-.1\n" + GOOD, ":2: score: '-.1' is outside 0..1"),
    (GOOD.replace("12,1", "81,1"), ": its action ids (81) are not in the label list (12, 14, 80)"),
    ("a,1,10,20,300,400,12,1\n", ": boxes reach 400 and look like pixels"),
    ("a" * 200_000 + GOOD, ":1: field larger than field limit"),
]


@pytest.mark.parametrize(("text", "message"), FAULTS)
def test_faults_are_reported_in_one_line(text: str, message: str, file: Path) -> None:
    with pytest.raises(AnnotationError) as caught:
        found(file, text)
    assert str(caught.value).startswith(f"{file}{message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("person", "message"),
    [("0.93", "the file may hold detections"), ("p3", "an integer"), ("99999999999", "an integer")],
)
def test_person_ids_are_integers(person: str, message: str, file: Path) -> None:
    with pytest.raises(AnnotationError, match=rf":2: person: '{person}' is not .*{message}"):
        truth(file, GOOD + f"a,1,.1,.2,.3,.4,12,{person}\n")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (GOOD.encode() + b"\xff,1,.1,.2,.3,.4,12,1\n", ":2: is not UTF-8"),
        (GOOD.encode("utf-16"), "is UTF-16"),
        (gzip.compress(GOOD.encode() * 50)[:-9], "cannot be read"),
        (b"\x1f\x8b plain", "cannot be read"),
    ],
)
def test_invalid_bytes(data: bytes, message: str, file: Path) -> None:
    file.write_bytes(data)
    with pytest.raises(AnnotationError, match=message):
        read_found(file, LABELS)


def test_paths_that_are_not_files(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="is not a file"):
        read_found(tmp_path, LABELS)
    with pytest.raises(AnnotationError, match="does not exist"):
        read_found(tmp_path / "absent.csv", LABELS)


def test_unusual_boxes_are_kept_for_the_evaluator(file: Path) -> None:
    rows = "a,1,-0.1,0,1.2,1,12,1\na,1,.9,.9,.1,.1,12,1\na,1,0,0,300,1,12,1\n"
    assert found(file, rows).box[:, 2].tolist() == [np.float32(1.2), np.float32(0.1), 300]


def test_found_as_written(file: Path) -> None:
    table = found(file, "v,2,0.125,0,1,1,80,0.25\nv,2,0.125,0,1,1,12,0\n")
    write_found(table, LABELS, file)
    assert file.read_text() == "v,0002,0.125,0.0,1.0,1.0,12,0.0\nv,0002,0.125,0.0,1.0,1.0,80,0.25\n"
    write_found(table, LABELS, file, min_action=0.25)
    assert file.read_text() == "v,0002,0.125,0.0,1.0,1.0,80,0.25\n"
    assert [path.name for path in file.parent.iterdir()] == ["boxes.csv"]


def test_truth_as_written(file: Path) -> None:
    write_truth(truth(file, "v,2,0,0,1,1,,5\nw,2,0,0,1,1,80,\nw,2,0,0,1,1,12,\n"), LABELS, file)
    assert file.read_text() == (
        "v,0002,0.0,0.0,1.0,1.0,,5\nw,0002,0.0,0.0,1.0,1.0,12,-1\nw,0002,0.0,0.0,1.0,1.0,80,-1\n"
    )


def test_gzip_is_by_name_and_has_no_timestamp(file: Path) -> None:
    table = found(file, GOOD)
    packed = file.with_name("boxes.csv.gz")
    write_found(table, LABELS, packed)
    before = packed.read_bytes()
    assert before[:2] == b"\x1f\x8b"
    assert before[4:8] == b"\0\0\0\0"
    assert_same(read_found(packed, LABELS), table)


def test_writers_reject_invalid_tables(file: Path) -> None:
    table = found(file, "a,1,0,0,1,1,12,.5\n")
    with pytest.raises(ValueError, match="differ from labels"):
        write_found(table, ava(), file)
    with pytest.raises(ValueError, match="must be 0 or 1"):
        write_truth(table, LABELS, file)
    with pytest.raises(StadkitError, match="cannot be written"):
        write_found(table, LABELS, file.with_name("absent") / "boxes.csv")


@pytest.mark.parametrize("video", ["a\nb", "a\rb", "\udcff", ""])
def test_writers_reject_names_that_do_not_round_trip(video: str, file: Path) -> None:
    table = replace(found(file, GOOD), video=np.array([video]))
    with pytest.raises(StadkitError, match="rename the video"):
        write_found(table, LABELS, file)
    assert file.read_text() == GOOD


def test_keyframes(file: Path) -> None:
    file.write_text("007,0902\nNA,902.5\n007,0902\n")
    keyframes = read_keyframes(file)
    assert keyframes.video.tolist() == ["007", "NA", "007"]
    assert keyframes.time.tolist() == [902, 902.5, 902]
    file.write_text("007,0902\nNA,late\n")
    with pytest.raises(AnnotationError, match=":2: time: 'late'"):
        read_keyframes(file)


@pytest.mark.parametrize(
    ("rows", "scores"),
    [
        ("a,1,0,0,1,1\na,2,0,0,1,1\n", [1, 1]),
        ("a,1,0,0,1,1,.5\na,1,0,0,.5,1,.25\n", [0.5, 0.25]),
        ("a,1,0,0,1,1,,.5\na,2,0,0,1,1,,.25\n", [0.5, 0.25]),
        ("a,1,0,0,1,1,12,.5\na,1,0,0,1,1,80,.5\na,1,0,0,.5,1,12,1\n", [0.5, 1]),
    ],
)
def test_proposals(rows: str, scores: list[float], file: Path) -> None:
    file.write_text(rows)
    table = read_proposals(file)
    assert table.classes == ()
    assert table.person.tolist() == scores
    assert table.action.shape == (2, 0)


def test_proposals_with_five_columns_are_rejected(file: Path) -> None:
    file.write_text("a,1,0,0,1\n")
    with pytest.raises(AnnotationError, match="wants 6, 7 or 8"):
        read_proposals(file)


# The first line of a written file must not look like a header or use other separators.
videos = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12)
times = st.one_of(st.integers(0, 99_999_000), st.integers(0, 2_000)).map(lambda ms: ms / 1000)
scores = st.floats(0, 1, width=32).map(abs)  # -0.0 is written and read, but not printed alike
sides = st.floats(-1, 2, width=32, allow_subnormal=False)


@st.composite
def tables(draw: st.DrawFn, scored: bool) -> Detections:
    """Tables of people with distinct boxes, by which the format distinguishes them."""
    rows = draw(st.lists(st.tuples(videos, times, sides), max_size=6, unique_by=lambda r: r[2] + 0))
    n = len(rows)
    cell = st.one_of(scores, st.just(NAN)) if scored else st.sampled_from([0.0, 1.0])
    action = np.array(
        draw(st.lists(st.lists(cell, min_size=3, max_size=3), min_size=n, max_size=n)), np.float32
    ).reshape(n, 3)
    if scored:
        action[np.isnan(action).all(1), 0] = 0.5  # so that everyone has a row
    return Detections(
        video=np.array([video for video, _, _ in rows], np.str_),
        time=np.array([time for _, time, _ in rows], np.float64),
        box=np.array([[x, 0.25, 1, 0.5 + i] for i, (_, _, x) in enumerate(rows)], np.float32)
        .reshape(n, 4)
        .clip(-1, 2),
        person=np.full(n, NAN if scored else 1, np.float32),
        action=action,
        track=np.full(n, -1, np.int32)
        if scored
        else np.array(
            draw(st.lists(st.integers(-1, 999_999_999), min_size=n, max_size=n)), np.int32
        ),
        classes=LABELS.names,
    )


@given(tables(scored=True), st.sampled_from(["found.csv", "found.csv.gz"]))
def test_found_round_trip(
    tmp_path_factory: pytest.TempPathFactory, table: Detections, name: str
) -> None:
    file = tmp_path_factory.getbasetemp() / name
    write_found(table, LABELS, file)
    assert_same(read_found(file, LABELS), table)


@given(tables(scored=False))
def test_truth_round_trip(tmp_path_factory: pytest.TempPathFactory, table: Detections) -> None:
    file = tmp_path_factory.getbasetemp() / "truth.csv"
    write_truth(table, LABELS, file)
    assert_same(read_truth(file, LABELS), table)


@given(st.text(st.sampled_from('a1.,;"\n\r\t\0 -e'), max_size=60))
def test_the_fast_and_the_slow_parser_agree(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.csv"
    for data in (text, GOOD + text, GOOD + "a,1," + text):
        file.write_bytes(data.encode())
        try:
            read_proposals(file)
            fault = ""
        except AnnotationError as error:
            fault = str(error)
        assert "cannot be read as CSV" not in fault, "refused, but the line was not found"
        assert bool(fault) == bool(list(_faults(read_bytes(file), PROPOSALS)))


def test_tracks_are_a_ninth_column(file: Path) -> None:
    table = found(file, "a,0902,.1,.2,.3,.4,12,0.5\na,0902,.5,.2,.7,.4,14,0.25\n")
    linked = table.with_track(np.array([3, -1], np.int32))
    write_found(linked, LABELS, file, tracks=True)
    assert file.read_text() == (
        "a,0902,0.1,0.2,0.3,0.4,12,0.5,3\na,0902,0.5,0.2,0.7,0.4,14,0.25,-1\n"
    )
    assert_same(read_found(file, LABELS), linked)


def test_tracks_distinguish_people_with_one_box(file: Path) -> None:
    row = "a,1,.1,.2,.3,.4,"
    table = found(file, f"{row}12,.5,0\n{row}14,.5,1\n{row}80,.25,0\n")
    assert table.track.tolist() == [0, 1]
    np.testing.assert_array_equal(
        table.action, np.array([[0.5, NAN, 0.25], [NAN, 0.5, NAN]], np.float32)
    )
