"""Config errors name the field; paths are relative to the YAML."""

from pathlib import Path

import pytest

from stadkit.errors import UsageError
from stadkit.training.config import AnnotatedSource, PlaygroundSource, read_config

GOOD = """
model: mestad-tiny
data:
  train: {clips: 10, seed: 3}
schedule: {epochs: 2}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


def test_defaults_are_the_papers(tmp_path: Path) -> None:
    config = read_config(write(tmp_path, GOOD))
    assert config.batch == 48
    assert config.optimizer.lr == 0.075
    assert config.augment.short_side == (256, 320)
    assert isinstance(config.data.train, PlaygroundSource)


def test_paths_are_taken_from_the_yamls_folder(tmp_path: Path) -> None:
    text = GOOD.replace("{clips: 10, seed: 3}", "{truth: a.csv, labels: l.txt, videos: v}")
    source = read_config(write(tmp_path, text)).data.train
    assert isinstance(source, AnnotatedSource)
    assert source.truth == tmp_path / "a.csv"
    assert source.videos == tmp_path / "v"


def test_init_is_a_name_only_without_a_folder(tmp_path: Path) -> None:
    def init(given: str) -> object:
        return read_config(write(tmp_path, f"{GOOD}init: {given}\n")).init

    assert init("videomae-base") == "videomae-base"
    for path in ("./videomae-base", "no/such/mestad-tiny", "k.safetensors"):
        assert init(path) == tmp_path / path
    (tmp_path / "mestad-tiny").mkdir()  # a run may be called so
    assert init("mestad-tiny") == "mestad-tiny"
    (tmp_path / "videomae-base").touch()
    assert init("videomae-base") == tmp_path / "videomae-base"


def test_recipes_of_evad(tmp_path: Path) -> None:
    text = GOOD.replace("epochs: 2", "epochs: 12, shape: steps, steps: [5, 8]")
    config = read_config(
        write(tmp_path, f"{text}augment: {{crop: null}}\noptimizer: {{clip_grad: 0}}\n")
    )
    assert config.augment.crop is None
    assert config.schedule.steps == (5, 8)
    assert config.optimizer.clip_grad == 0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("epochs: 2", "epoch: 2", "schedule.epochs: Field required"),
        ("epochs: 2", "epochs: 0", "schedule.epochs: Input should be greater than 0"),
        ("model: mestad-tiny", "modl: x", "modl: Extra inputs are not permitted"),
        ("clips: 10", "clips: ten", "data.train.clips"),
        ("clips: 10", "clips: 10, pace: 0", "data.train.pace: Input should be greater than"),
        ("clips: 10", "clips: 10, glitches: 2", "data.train.glitches: Input should be less than"),
        ("{clips: 10, seed: 3}", "{truth: a, labels: l, videos: v, every: 0}", "data.train.every"),
        ("{clips: 10, seed: 3}", "{truth: a, labels: l}", "give either `videos` or `frames`"),
        ("schedule:", "augment: {short_side: [9, 5]}\nschedule:", "augment: short_side must be"),
        ("schedule:", "augment: {crop: [0, 0]}\nschedule:", "augment: crop must be"),
        ("epochs: 2", "epochs: 9, shape: steps", "schedule: `shape: steps` needs `steps`"),
        ("epochs: 2", "epochs: 9, steps: [5]", "schedule: `shape: steps` needs `steps`"),
        (
            "epochs: 2",
            "epochs: 9, shape: steps, steps: [8, 5]",
            "schedule: steps must be increasing",
        ),
        (
            "epochs: 2",
            "epochs: 8, shape: steps, steps: [5, 8]",
            "schedule: steps must be increasing",
        ),
        ("epochs: 2", "epochs: 8, shape: steps, steps: [0]", "schedule: steps must be increasing"),
        ("epochs: 2", "epochs: 8, shape: steps, steps: [5], last: .1", "`last` needs `shape:"),
        ("epochs: 2", "epochs: 2, start: 2", "schedule.start: Input should be less than"),
        ("schedule:", "short_side: 9\nschedule:", "short_side: Input should be greater than"),
        ("schedule:", "optimizer: {head_scale: 0}\nschedule:", "optimizer.head_scale"),
        ("schedule:", "optimizer: {clip_grad: -1}\nschedule:", "optimizer.clip_grad"),
    ],
)
def test_errors_name_the_field(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(UsageError) as caught:
        read_config(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["a: [", "- 1", "", "!!python/object:os.system {}"])
def test_not_a_config(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"run\.yaml"):
        read_config(write(tmp_path, text))


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such config"):
        read_config(tmp_path / "absent.yaml")
