"""People are tracked through the frames of rendered and annotated clips."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from stadkit import synth, zoo
from stadkit.errors import AnnotationError
from stadkit.training.clips import ClipStore
from stadkit.training.config import AnnotatedSource, PlaygroundSource
from stadkit.training.sources import Annotated, Playground, _generator
from stadkit.training.tubelets import ExampleTubes, to_tubes

NAN = float("nan")
# Four frames a tenth of a second apart, the third is the key frame.
CARD = replace(zoo.card("mestad-tiny"), frames=4, stride=3.0, key=2, tubelet=True)


def annotated(folder: Path, rows: str, card: zoo.Card = CARD, **settings: Any) -> Annotated:
    """Three seconds at ten frames a second; the first frame is second 900 in the truth."""
    place = folder / "frames" / "a"
    place.mkdir(parents=True, exist_ok=True)
    for number in range(30):
        cv2.imwrite(str(place / f"{number:06d}.png"), np.full((40, 40, 3), 8 * number, np.uint8))
    (folder / "labels.txt").write_text("1: stand\n2: walk\n3: wave\n")
    (folder / "truth.csv").write_text(rows)
    config = AnnotatedSource(
        truth=folder / "truth.csv",
        labels=folder / "labels.txt",
        frames=folder / "frames",
        offset=900,
        short_side=32,
        **{"rate": 10, **settings},
    )
    return Annotated(config, card, folder / "store")


def tubes_at(source: Annotated, time: float) -> ExampleTubes:
    """The tubes of the clip at a time in the truth."""
    clips = [source[index] for index in range(len(source))]
    (found,) = [clip.tubes for clip in clips if abs(clip.clip.time - time) < 1e-6]
    assert found is not None
    return found


def same(a: Any, b: Any) -> bool:
    return np.array_equal(a, np.array(b, np.float32), equal_nan=True)


def test_an_action_is_done_in_half_of_the_frames_or_more() -> None:
    box = np.full((2, 5, 4), NAN, np.float32)
    box[0, :4], box[1, 2:] = 0.5, 0.25
    action = np.full((2, 5, 3), NAN, np.float32)
    action[0, :4] = [[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 1]]  # 3, 2 and 1 of 4
    action[1, 2:] = [[0, 1, 0], [0, 1, 1], [0, 0, 0]]  # 0, 2 and 1 of 3
    known = np.array([True, True, True, True, False])
    box[1, 4], action[1, 4] = NAN, NAN
    got = to_tubes(box, action, known)
    assert same(got.there, [[1, 1, 1, 1, NAN], [0, 0, 1, 1, NAN]])
    assert same(got.action, [[1, 1, 0], [0, 1, 1]])
    assert same(got.box[0, :, 0], [0.5, 0.5, 0.5, 0.5, 0])
    empty = to_tubes(box[:0], action[:0], known)
    assert empty.box.shape == (0, 5, 4)
    assert empty.action.shape == (0, 3)


ROWS = """a,900.8,.1,.1,.5,.5,2,7
a,901,.2,.1,.6,.5,1,7
a,901,.2,.1,.6,.5,2,7
a,901,.5,.5,.9,.9,1,9
a,901.1,.4,.5,.8,.9,3,9
"""


def test_annotated_people_are_tracked_by_their_ids(tmp_path: Path) -> None:
    tubes = tubes_at(annotated(tmp_path, ROWS), 901)
    # Nothing is labelled at 900.9: unknown.
    assert same(tubes.there, [[1, NAN, 1, 0], [0, NAN, 1, 1]])
    assert same(tubes.box[0], [[0.1, 0.1, 0.5, 0.5], [0] * 4, [0.2, 0.1, 0.6, 0.5], [0] * 4])
    assert same(tubes.box[1], [[0] * 4, [0] * 4, [0.5, 0.5, 0.9, 0.9], [0.4, 0.5, 0.8, 0.9]])
    assert same(tubes.action, [[1, 1, 0], [1, 0, 1]])


def test_an_annotated_time_without_rows_is_empty(tmp_path: Path) -> None:
    there = tubes_at(annotated(tmp_path, ROWS, every=0.1), 901).there
    assert same(there, [[1, 0, 1, 0], [0, 0, 1, 1]])
    there = tubes_at(annotated(tmp_path, ROWS, every=0.2), 901).there
    assert same(there, [[1, NAN, 1, 0], [0, NAN, 1, 1]])


def test_the_key_frame_stays_as_it_is(tmp_path: Path) -> None:
    source = annotated(tmp_path, ROWS)
    plain = annotated(tmp_path, ROWS, card=replace(CARD, tubelet=False))
    for index in range(len(source)):
        example, usual = source[index], plain[index]
        assert usual.tubes is None
        assert np.array_equal(example.box, usual.box)
        assert np.array_equal(example.action, usual.action)
        assert np.array_equal(example.clip.pixels, usual.clip.pixels)
    assert len(list((tmp_path / "store").iterdir())) == 1  # the pixels are the same


def test_labels_belong_to_the_nearest_frames(tmp_path: Path) -> None:
    row = "a,{},.1,.1,.5,.5,1,7\n"
    rows = "".join(row.format(time) for time in ("900.815", "900.935", "901", "901.1"))
    assert same(tubes_at(annotated(tmp_path, rows), 901).there, [[1, NAN, 1, 1]])


def test_the_key_frame_has_its_label_at_any_distance(tmp_path: Path) -> None:
    """At four frames a second, 901.1 maps to the frame at 901, but 901.15 not to 901.25."""
    rows = "a,901.1,.1,.1,.5,.5,1,7\na,901.35,.1,.1,.5,.5,1,7\n"
    slow = replace(CARD, stride=7.5)  # a quarter of a second
    source = annotated(tmp_path, rows, slow, rate=4)
    assert source[0].clip.times.tolist() == [0.5, 0.75, 1.0, 1.25]
    assert same(tubes_at(source, 901.1).there, [[NAN, NAN, 1, NAN]])


def test_the_last_frame_repeats_with_its_truth(tmp_path: Path) -> None:
    source = annotated(tmp_path, "a,902.94,.1,.1,.5,.5,1,7\n")
    assert source[0].clip.times.tolist() == [2.7, 2.8, 2.9, 2.9]
    assert same(tubes_at(source, 902.94).there, [[NAN, NAN, 1, 1]])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            "a,901,.1,.1,.5,.5,1\na,902,.1,.1,.5,.5,1\n",
            r"truth\.csv: a person in a at 901 s has no id.*put person ids into the eighth",
        ),
        (
            "a,901,.1,.1,.5,.5,1,7\na,902,.1,.1,.5,.5,1,7\na,902,.2,.1,.5,.5,1,7\n",
            r"truth\.csv: person 7 has two boxes in one frame, a at 902 s; give one",
        ),
    ],
)
def test_ids_are_required_only_for_tubelets(tmp_path: Path, rows: str, words: str) -> None:
    with pytest.raises(AnnotationError, match=words) as caught:
        annotated(tmp_path, rows)
    assert "\n" not in str(caught.value)
    assert len(annotated(tmp_path, rows, replace(CARD, tubelet=False))) == 2


RENDERED = PlaygroundSource(clips=2, seed=5, height=48, width=64)


def test_rendered_people_are_tracked(tmp_path: Path) -> None:
    for index, example in enumerate([Playground(RENDERED, CARD, tmp_path)[i] for i in range(2)]):
        made = synth.render_clip(
            5 + index, frames=4, stride=0.1, key=2, height=48, width=64, tubes=True
        )
        assert example.tubes is not None
        assert made.tube_box is not None
        assert np.array_equal(example.tubes.there, ~np.isnan(made.tube_box[..., 0]))
        seen = example.tubes.there[:, 2] == 1
        assert np.array_equal(example.tubes.box[seen, 2], example.box)
        assert example.tubes.box.dtype == example.tubes.there.dtype == np.float32
        assert (example.tubes.action.shape, len(example.tubes.box)) == (
            (len(made.tube_box), 14),
            len(made.tube_box),
        )


def test_stores_of_keyframe_models_stay_valid(tmp_path: Path) -> None:
    plain = replace(CARD, tubelet=False)
    usual = Playground(RENDERED, plain, tmp_path)[0]
    assert usual.tubes is None
    known = {"playground": (4, 3.0, 2, 48, 64), "generator": _generator()}
    assert "000000005" in ClipStore(tmp_path, known)
    tubelets = Playground(RENDERED, CARD, tmp_path)[0]
    assert np.array_equal(usual.clip.pixels, tubelets.clip.pixels)
    assert np.array_equal(usual.box, tubelets.box)
    assert len(list(tmp_path.iterdir())) == 2
