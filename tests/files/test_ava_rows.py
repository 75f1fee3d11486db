"""Instances from AVA's CSV: row order, counted faults with lines, invalid truth rejected."""

import gzip
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stadkit.errors import AnnotationError
from stadkit.files import columns
from stadkit.files.ava_csv import read_truth
from stadkit.files.ava_rows import read_instances, read_instances_of
from stadkit.files.faults import Faults
from stadkit.files.rows import line_numbers
from stadkit.instances import Instances
from stadkit.labels import Labels
from stadkit.synth.benchmark_sets import write_ava_like

LABELS = Labels((12, 80, 14), ("stand", "watch", "walk"))
GOOD = "a,0902,.1,.2,.3,.4,12,.5\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "boxes.csv"


def read(file: Path, text: str, truth: bool = False) -> tuple[Instances, Faults]:
    file.write_bytes(text.encode())
    return read_instances(file, LABELS, truth=truth)


def test_found_rows_keep_their_order(file: Path) -> None:
    claims, faults = read(
        file,
        "b,0903,.1,.2,.3,.4,14,.25\n"
        "a,902.04,.5,.6,.7,.8,80,1\n"
        "b,903.0,.1,.2,.3,.4,14,.75\n"  # again: a row of its own
        "b,0902,-.5,0,1.5,1,12,0\n",
    )
    assert claims.videos == ("b", "a")
    assert claims.video.tolist() == [0, 1, 0, 0]
    assert claims.time.tolist() == [903, 902.04, 903, 902]
    assert claims.label.tolist() == [2, 1, 2, 0]
    assert claims.score.tolist() == [0.25, 1, 0.75, 0]
    assert claims.box[[0, 1, 3]].tolist() == [
        [0.1, 0.2, 0.3, 0.4],
        [0.5, 0.6, 0.7, 0.8],
        [-0.5, 0, 1.5, 1],
    ]
    assert claims.classes == LABELS.names
    assert faults == Faults(file, {})


def test_found_rows_without_scores_have_ones(file: Path) -> None:
    claims, _ = read(file, "a,1,0,0,1,1,12\na,1,0,0,1,1,14\n")
    assert claims.score.tolist() == [1, 1]


def test_the_score_of_truth_is_one_and_not_the_id_of_its_person(file: Path) -> None:
    claims, _ = read(file, "a,1,0,0,1,1,12,7\na,1,0,0,1,1,14,7\n", truth=True)
    assert claims.score.tolist() == [1, 1]
    assert claims.label.tolist() == [0, 2]


def test_a_truth_person_without_a_known_action_is_one_row(file: Path) -> None:
    claims, faults = read(
        file,
        "a,1,0,0,1,1,2,3\n"  # unknown
        "a,1,0,0,1,1,12,4\n"
        "a,1,0,0,1,1,16,4\n"  # unknown, on a standing person
        "a,1,0,0,1,1,16,3\n"  # unknown, of the first person again
        "a,1,0,0,1,.5,,\n",  # nothing at all
        truth=True,
    )
    assert claims.label.tolist() == [-1, 0, -1]
    assert claims.box[:, 3].tolist() == [1, 1, 0.5]
    assert faults.kinds == {"unknown label": (3, (1, 3, 4))}
    assert faults.unknown == (2, 16)


def test_unknown_found_actions_keep_the_person(file: Path) -> None:
    claims, faults = read(file, "a,1,0,0,1,1,2,.5\nb,1,0,0,1,1,12,.5\nb,1,0,0,1,1,0,.5\n")
    assert claims.label.tolist() == [-1, 0, -1]
    assert claims.videos == ("a", "b")  # the file's, to be named where none matches
    assert faults.kinds == {"unknown label": (2, (1, 3))}
    assert faults.unknown == (2, 0)
    assert faults.lines() == [
        "2 rows have an action id missing from the labels, such as 2, 0 (lines 1, 3): "
        "counted for people only"
    ]


def test_labels_without_any_matching_action_keep_people(file: Path) -> None:
    file.write_text(GOOD)
    claims, faults = read_instances(file, Labels((), ()), truth=False)
    assert claims.label.tolist() == [-1]
    assert faults.unknown == (12,)


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ("a,1,.3,0,.1,1,12,.5", "inverted"),
        ("a,1,0,.3,1,.1,12,.5", "inverted"),
        ("a,1,nan,0,1,1,12,.5", "not finite"),
        ("a,1,0,0, NaN ,1,12,.5", "not finite"),
        ("a,1,0,-Infinity,1,1,12,.5", "not finite"),
        ("a,1,0,0,1e999,1,12,.5", "not finite"),
        ("a,1,0,0,1,1,12,NAN", "not finite"),
        ("a,1,0,0,1,1,12,inf", "not finite"),
    ],
)
def test_invalid_found_boxes_are_skipped(file: Path, row: str, kind: str) -> None:
    many = "a,1,.6,.6,.9,.9,14,.5\n"
    claims, faults = read(file, many + row + "\n" + many * 30)
    assert claims.label.tolist() == [2] * 31
    assert faults.kinds == {kind: (1, (2,))}


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ("a,1,.3,0,.3,1,12,.5", "no area"),
        ("a,1,0,.3,1,.3,12,.5", "no area"),
        ("a,1,0,0,2.5,1,12,.5", "pixels"),
        ("a,1,10,20,30,400,12,.5", "pixels"),
        ("a,1,0,0,1,1,12,1.5", "score outside 0..1"),
        ("a,1,0,0,1,1,12,-.1", "score outside 0..1"),
    ],
)
def test_suspicious_found_rows_are_kept(file: Path, row: str, kind: str) -> None:
    claims, faults = read(file, GOOD + row + "\n")
    values = [float(field) for field in row.split(",")[2:]]
    assert [*claims.box[1].tolist(), claims.score[1]] == [*values[:4], values[5]]
    assert faults.kinds == {kind: (1, (2,))}


def test_boundary_values_are_not_faults(file: Path) -> None:
    _, faults = read(file, "a,1,-1,0,2,2,12,1\na,1,0,0,1,1,12,0\n")
    assert faults.kinds == {}


def test_widths_and_heights_are_distinguished_from_corners(file: Path) -> None:
    sizes = "a,1,.7,.1,.2,.8,12,.5\na,1,.1,.1,.3,.8,12,.5\n"
    _, faults = read(file, sizes * 10)
    assert faults.kinds == {"xywh": (10, (1, 3, 5))}
    # As many are inverted, but as widths these would reach out of the frame.
    _, faults = read(file, "a,1,.7,.1,.6,.8,12,.5\na,1,.1,.1,.3,.8,12,.5\n" * 10)
    assert faults.kinds == {"inverted": (10, (1, 3, 5))}


def test_a_row_can_have_two_faults(file: Path) -> None:
    _, faults = read(file, "a,1,0,0,500,.4,12,8\na,1,0,0,1,1,99,.5\n")
    assert faults.kinds == {
        "unknown label": (1, (2,)),
        "pixels": (1, (1,)),
        "score outside 0..1": (1, (1,)),
    }


def test_faults_as_sentences(tmp_path: Path) -> None:
    faults = Faults(tmp_path, {"inverted": (1203, (4, 9, 12)), "no area": (1, (7,))})
    assert faults.lines() == [
        "1,203 rows have a box with x2 < x1 or y2 < y1 (lines 4, 9, 12, ...): skipped",
        "1 row has a box without area (line 7): skipped by most protocols",
    ]


def test_line_numbers_include_blank_lines(file: Path) -> None:
    bad = GOOD.replace("12", "99")
    _, faults = read(file, "\n" + bad + " \t \n\n" + GOOD + bad.rstrip("\n"))
    assert faults.kinds == {"unknown label": (2, (2, 6))}


def test_line_numbers_of_rows(file: Path) -> None:
    file.write_bytes(b"\r\n \r\na\r\n b\r\n\r\nc")
    assert line_numbers(file, np.array([2, 0, 1])).tolist() == [6, 3, 4]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("a,1,.3,0,.1,1,12,1", "x2 < x1 or y2 < y1; a box is x1, y1, x2, y2: swap its corners"),
        ("a,1,nan,0,1,1,12,1", "a coordinate is NaN or infinite; fix the box or remove the row"),
        ("a,1,0,0,inf,1,12,1", "a coordinate is NaN or infinite; fix the box or remove the row"),
    ],
)
def test_invalid_truth_boxes_are_rejected(file: Path, row: str, reason: str) -> None:
    good = "a,1,.6,.6,.9,.9,12,1\n"
    with pytest.raises(AnnotationError) as error:
        read(file, good * 2 + row + "\n" + good * 30, truth=True)
    assert str(error.value) == f"{file}:3: {reason}"


def test_truth_with_widths_is_rejected(file: Path) -> None:
    with pytest.raises(AnnotationError) as error:
        read(file, "a,1,.1,.1,.3,.8,12,1\na,1,.7,.1,.2,.8,12,1\n" * 2, truth=True)
    assert str(error.value) == (
        f"{file}:2: x2 < x1 or y2 < y1, so these look like x, y, width, "
        "height; write x1, y1, x2, y2 (2 rows)"
    )


def test_true_boxes_without_area_count(file: Path) -> None:
    claims, faults = read(file, "a,1,.3,0,.3,1,12,1\na,1,0,0,300,300,12,1\n", truth=True)
    assert len(claims) == 2
    assert faults.kinds == {"pixels": (1, (2,))}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD + "a,1,0,0,1,1,12\n", "2: has 7 columns, but the first line has 8"),
        (GOOD + GOOD[:-1] + ",9\n", "2: has 9 columns, but the first line has 8"),
        (GOOD + "a,1,0,0,1,x,12,.5\n", "2: y2: 'x' is not a finite number"),
        (GOOD + "a,1,0,0,1,,12,.5\n", "2: y2: '' is not a finite number"),
        (GOOD + "a,1,0,0,1,nan,12,\n", "2: score: '' is not a finite number"),
        (GOOD + "a,nan,0,0,1,1,12,.5\n", "2: time: 'nan' is not a time in seconds"),
        (GOOD + "a,1,0,0,1,1,,.5\n", "2: action: '' is not an action id (an integer)"),
        (
            "video,time,x1,y1,x2,y2,action,score\n" + GOOD,
            "1: looks like a header, which these files do not have; remove the line",
        ),
    ],
)
def test_malformed_csv_is_rejected(file: Path, text: str, reason: str) -> None:
    with pytest.raises(AnnotationError) as error:
        read(file, text)
    assert str(error.value) == f"{file}:{reason}"


def test_an_empty_file_has_no_rows(file: Path) -> None:
    for truth in (True, False):
        claims, faults = read(file, "", truth)
        assert (len(claims), claims.videos, faults.kinds) == (0, (), {})


def test_several_files_and_folders_are_joined(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "b.csv").write_text("b,1,0,0,1,1,14,.5\n")
    (folder / "a.csv.gz").write_bytes(gzip.compress(b"a,1,0,0,1,1,12,.5\na,1,0,0,1,1,99,.5\n"))
    (folder / "empty.csv").write_text("")
    (folder / "b.jsonl").write_text("{}")
    more = tmp_path / "more.csv"
    more.write_text("c,1,0,0,1,1,80,.5\na,2,0,0,1,1,12,.25\n")
    claims, faults = read_instances_of([folder, more], LABELS, truth=False)
    assert claims.videos == ("a", "b", "c")
    assert claims.video.tolist() == [0, 0, 1, 2, 0]
    assert claims.label.tolist() == [0, -1, 2, 1, 0]
    assert claims.score.tolist() == [0.5, 0.5, 0.5, 0.5, 0.25]
    assert [each.path.name for each in faults] == ["a.csv.gz", "b.csv", "empty.csv", "more.csv"]
    assert faults[0].kinds == {"unknown label": (1, (2,))}


def test_a_folder_without_files_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError) as error:
        read_instances_of([tmp_path], LABELS, truth=False)
    assert str(error.value) == (f"{tmp_path}: contains no .csv or .csv.gz file; check the path")


def test_instances_with_different_classes_do_not_join(file: Path) -> None:
    claims, _ = read(file, GOOD)
    with pytest.raises(ValueError, match="classes differ"):
        Instances.join([claims], ("stand",))


DECIMALS = st.one_of(
    st.floats(0, 1).map(repr),
    st.integers(0, 1000).map(lambda n: f"{n / 1000:.3f}"),
    st.decimals(0, 1, places=12, allow_nan=False, allow_infinity=False).map(str),
)
ROW = st.tuples(
    st.sampled_from(["a", "b", "007", "NA", '"x,y"', "-b"]),
    st.sampled_from(["0902", "902.0", "0903", "1.5"]),
    DECIMALS,
    st.sampled_from(["12", "14", "80"]),
    DECIMALS,
)


@given(st.lists(ROW, min_size=1, max_size=30), st.integers(1, 400))
def test_parsing_in_pieces_equals_parsing_at_once(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]], size: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "pieces.csv"
    lines = [f"{v},{t},-1,-1,{side},1,{a},{score}\n" for v, t, side, a, score in rows]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "_PIECE", size)
        claims, _ = read(file, "".join(lines))
    names = [v.strip('"') for v, *_ in rows]
    assert claims.videos == tuple(dict.fromkeys(names))
    assert [claims.videos[v] for v in claims.video] == names
    assert claims.time.tolist() == [float(t) for _, t, *_ in rows]
    assert claims.box[:, 2].tolist() == [float(side) for _, _, side, *_ in rows]  # to the bit
    assert claims.label.tolist() == [LABELS.ids.index(int(a)) for *_, a, _ in rows]
    assert claims.score.tolist() == [float(score) for *_, score in rows]


@pytest.mark.parametrize("size", [1, 30, 60])
def test_a_long_row_is_detected_at_the_start_of_a_piece(
    file: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(columns, "_PIECE", size)
    for n in range(1, 6):
        with pytest.raises(AnnotationError, match=f":{n + 1}: has 9 columns"):
            read(file, GOOD * n + GOOD[:-1] + ",9\n" + GOOD)


@given(st.lists(st.sampled_from(["a,1,0,0,1,1,{},3", "a,1,0,0,1,1,{},4", "b,1,0,0,1,1,{},3"])))
def test_truth_people_equal_those_of_the_table(
    tmp_path_factory: pytest.TempPathFactory, rows: list[str]
) -> None:
    file = tmp_path_factory.getbasetemp() / "people.csv"
    ids = ("12", "99", "14", "98", "")
    text = "".join(
        row.format(ids[i % 5]) + "\n" for i, row in enumerate([*rows, "c,1,0,0,1,1,12,"])
    )
    claims, _ = read(file, text, truth=True)
    table = Instances.of_truth(read_truth(file, LABELS))

    def parts(claims: Instances) -> list[tuple[str, int]]:
        return sorted(
            zip([claims.videos[v] for v in claims.video], claims.label.tolist(), strict=True)
        )

    assert parts(claims) == parts(table)


READ = """
import sys
from stadkit.memory import peak
from stadkit.files.ava_rows import read_instances
from stadkit.labels import ava_scored
for file, truth in ((sys.argv[1], True), (sys.argv[2], False)):
    claims, faults = read_instances(file, ava_scored(), truth=truth)
    print(len(claims), len(faults.kinds))
print(peak())
"""


@pytest.mark.slow
def test_ava_size_fits_in_a_gigabyte(tmp_path: Path) -> None:
    files = write_ava_like(tmp_path, 57_408, 0)
    rows = [file.read_bytes().count(b"\n") for file in files]
    done = subprocess.run(
        [sys.executable, "-c", READ, *map(str, files)], capture_output=True, text=True, check=True
    )
    truth, found, peak = done.stdout.splitlines()
    assert (truth, found) == (f"{rows[0]} 0", f"{rows[1]} 0")
    assert int(peak) < 1e9


def test_a_track_after_the_score_is_ignored(file: Path) -> None:
    claims, faults = read(file, "a,0902,.1,.2,.3,.4,12,.5,3\na,0902,.1,.2,.3,.4,99,.5,-1\n")
    assert claims.label.tolist() == [0, -1]
    assert faults.kinds == {"unknown label": (1, (2,))}
