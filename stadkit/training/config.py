"""What a training YAML may say; a wrong field is one line that names it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stadkit import zoo
from stadkit.errors import UsageError


class Strict(BaseModel):
    """Misspelt fields fail; values never change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SemiConfig(Strict):
    """The semi-supervised stage, ME-STAD section 3.4: a teacher labels clips between keyframes.

    burn_in: epochs of the supervised stage before; 0: `init` has been through it. Boxes of the
    teacher become labelled people by a `strategy` of Table 5: "tla", "hard", "per-class",
    "nearest"; "ema" is the averaged weights alone, "none" the supervised stage.
    """

    strategy: Literal["tla", "hard", "per-class", "nearest", "ema", "none"] = "tla"
    burn_in: int = Field(0, ge=0)
    unlabelled: int = Field(1, ge=1)  # clips for each labelled one of `batch`
    weight: float = Field(0.5, ge=0)  # lambda_unsup of Eq. 4, Table 4
    localization: bool = True  # Eq. 5 has both parts; false: actions alone, as SE-STAD's release
    # Of the teacher's weights, the ramp is `Average`'s; the paper gives no number, the release has
    # this one.
    ema: float = Field(0.999, ge=0, lt=1)
    # The teacher's running means (of batch norm): the student's, averaged like the weights, or
    # those it started with, as in the release.
    buffers: Literal["copy", "average", "keep"] = "copy"
    # Seconds between an unlabelled clip and a labelled keyframe: near the middle of two, where
    # truth is one a second.
    offset: tuple[float, float] = (1 / 3, 1 / 2)
    places: int = Field(2, ge=1)  # times around a keyframe, in turn before and after; all are kept
    min_person: float | None = Field(None, ge=0, le=1)  # of the teacher's boxes; null: the card's
    max_people: int = Field(10, ge=1)  # of a clip, the teacher's best
    # As in `stadkit pseudo-label`.
    bce: Literal["sum", "mean"] = "sum"
    distance: Literal["l1", "smooth-l1"] = "l1"
    background: Literal["paper", "free"] = "paper"
    threshold: float = Field(0.2, ge=0, le=1)
    restricted: bool = True
    max_gap: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def rising(self) -> SemiConfig:
        if not 0 < self.offset[0] <= self.offset[1]:
            raise ValueError("offset wants [low, high] seconds with 0 < low <= high")
        return self

    @property
    def labels(self) -> bool:
        """Whether unlabelled clips are looked at."""
        return self.strategy not in ("ema", "none")


class PlaygroundSource(Strict):
    """Clips rendered as they are needed; clip i has seed `seed + i`."""

    clips: int = Field(gt=0)
    seed: int = Field(ge=0)
    height: int = Field(180, ge=32)
    width: int = Field(240, ge=32)
    # wide: more places, people and framings; mixed: clips of odd seeds are wide.
    variety: Literal["standard", "wide", "mixed"] = "standard"
    pace: float = Field(1.0, ge=0.1, le=10)  # people go so many times as fast
    glitches: float = Field(0.0, ge=0, le=1)  # share of the frames broken; the truth goes on


class AnnotatedSource(Strict):
    """AVA-format truth over a folder of videos, or of folders of extracted frames."""

    truth: Path
    labels: Path
    videos: Path | None = None
    frames: Path | None = None
    rate: float = Field(30.0, gt=0)  # of extracted frames, a second
    offset: float = 0.0  # the time that truth gives the first frame: 900 in AVA
    thin: int = Field(1, gt=0)  # of a video's labelled frames every so many is used
    # For tubelets: truth has been looked for each so many seconds from the first frame on, and
    # where it has no rows there, there is nobody. Not said: nobody knows.
    every: float | None = Field(None, gt=0)
    # For `classifier: long`: results of `detect --save-queries` of these videos, and so many
    # seconds of them around a key frame, half before, half after.
    queries: Path | None = None
    window: float = Field(60.0, gt=0)
    short_side: int = Field(320, ge=32)  # kept in the clip store

    @model_validator(mode="after")
    def one_place(self) -> AnnotatedSource:
        if (self.videos is None) == (self.frames is None):
            raise ValueError("give one of `videos` and `frames`")
        return self


class DataConfig(Strict):
    """What to learn from, what to score each epoch on, and where decoded clips are kept."""

    train: PlaygroundSource | AnnotatedSource
    val: PlaygroundSource | AnnotatedSource | None = None
    store: Path | None = None  # decoded or rendered clips; default: in the run's folder
    workers: int = Field(1, ge=0)


class AugmentConfig(Strict):
    """ME-STAD section 4.1: random short side, random crop, flip; the rest is off by default.

    EVAD sees whole frames: `crop: null`, which pads to the largest of a batch.
    """

    short_side: tuple[int, int] = (256, 320)
    crop: tuple[int, int] | None = (256, 256)  # height, width; null: the whole frame
    flip: float = Field(0.5, ge=0, le=1)
    stretch: float = Field(0.0, ge=0, lt=0.5)  # width scaled by 1 - stretch .. 1 + stretch
    gain: float = Field(0.0, ge=0, lt=1)  # each colour channel scaled by 1 - gain .. 1 + gain
    shift: float = Field(0.0, ge=0)  # added to all pixels, -shift .. shift of 255 levels
    grey: float = Field(0.0, ge=0, le=1)  # share of clips without colour
    shuffle: float = Field(0.0, ge=0, le=1)  # share of clips with colour channels permuted
    min_visible: float = Field(0.25, ge=0, le=1)  # a person cropped to less is dropped

    @model_validator(mode="after")
    def ordered(self) -> AugmentConfig:
        if not 0 < self.short_side[0] <= self.short_side[1]:
            raise ValueError("short_side wants [low, high] with 0 < low <= high")
        if self.crop is not None and min(self.crop) < 16:
            raise ValueError("crop wants [height, width] of 16 pixels or more")
        return self


class OptimizerConfig(Strict):
    """SGD as in ME-STAD section 4.1, AdamW or Muon; `lr` is the rate after the warm-up.

    EVAD's heads learn at 8 times the rate of its backbone, pyramid and first boxes: `head_scale`.
    """

    name: Literal["sgd", "adamw", "muon"] = "sgd"
    lr: float = Field(0.075, gt=0)
    head_scale: float = Field(1.0, gt=0)  # times `lr`: of all that starts from nothing
    weight_decay: float = Field(1e-5, ge=0)  # not on norms, biases and mask tokens
    momentum: float = Field(0.9, ge=0, lt=1)  # sgd, muon
    clip_grad: float = Field(40.0, ge=0)  # L2 norm; 0: not clipped


class ScheduleConfig(Strict):
    """Linear warm-up, then a cosine to `last` of the rate, or `steps` down; per step."""

    epochs: int = Field(gt=0)
    warmup: float = Field(2.0, ge=0)  # epochs
    start: float = Field(0.1, ge=0, le=1)  # share of the rate at step 0 of the warm-up
    shape: Literal["cosine", "steps"] = "cosine"
    last: float = Field(0.0, ge=0, le=1)  # cosine: share of the rate at the end
    steps: tuple[float, ...] = ()  # steps: epochs after which the rate is a tenth, a hundredth, ...

    @model_validator(mode="after")
    def of_one_shape(self) -> ScheduleConfig:
        if (self.shape == "steps") != bool(self.steps):
            raise ValueError("give `steps` with `shape: steps`, and only with it")
        if self.shape == "steps" and self.last:
            raise ValueError("`last` is of `shape: cosine`")
        ends = (0.0, *self.steps, float(self.epochs))
        if any(not a < b for a, b in itertools.pairwise(ends)):
            raise ValueError("steps wants rising epochs, between 0 and `epochs`")
        return self


class FitConfig(Strict):
    """How the layer of a head that is fitted is found (`training.fitting`); an epoch is a view."""

    l2: float = Field(3e-4, gt=0)  # penalty on half the squared weights
    smoothing: float = Field(0.1, ge=0, lt=1)  # of labels that exclude each other
    iterations: int = Field(60, gt=0)  # of L-BFGS at most
    jitter: float = Field(0.1, ge=0, lt=0.5)  # sides of a copy move by up to this share of the box
    jitter_copies: int = Field(2, ge=0)  # of each person's box, beside the true one


class TrainConfig(Strict):
    """One training; paths are relative to the YAML's folder.

    init: weights to start from: a path, or the name alone of a model or backbone.
    """

    model: str
    settings: dict[str, Any] = Field(default_factory=dict)  # over the zoo's settings of this model
    # Pixels at which the trained model looks, in `detect` and data.val; else the zoo's.
    short_side: int | None = Field(None, ge=32)
    init: str | Path | None = None
    data: DataConfig
    augment: AugmentConfig = AugmentConfig()
    loss: dict[str, Any] = Field(default_factory=dict)  # fields of the model's loss config
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig
    batch: int = Field(48, gt=0)  # clips a step, all processes together
    fit: FitConfig = FitConfig()  # of mestad-nano, which has no use for loss, optimizer and ema
    ema: float = Field(0.0, ge=0, lt=1)  # 0: none; else the average's decay a step
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = Field(0, ge=0)
    semi: SemiConfig | None = None

    @model_validator(mode="after")
    def has_something_to_teach(self) -> TrainConfig:
        semi = self.semi
        if semi is None or semi.strategy == "none":
            return self
        if self.init is None and not semi.burn_in:
            raise ValueError("semi wants a trained teacher: give `init`, or epochs of semi.burn_in")
        if semi.burn_in >= self.schedule.epochs:
            raise ValueError("semi.burn_in leaves none of schedule.epochs")
        if self.ema and not semi.burn_in:
            raise ValueError("`ema` is of the burn-in here; the teacher's is semi.ema")
        if semi.labels and isinstance(self.data.train, PlaygroundSource):
            raise ValueError(
                "semi wants data.train of truth and videos (`stadkit synth` makes some): of "
                "rendered clips only the key frame is labelled"
            )
        return self


def read_config(path: Path) -> TrainConfig:
    """A YAML file -> its checked config; raises UsageError naming the file and the field."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such config; examples are in examples/configs") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise UsageError(f"{path}: wants `field: value` lines, found {type(raw).__name__}")
    try:
        config = TrainConfig.model_validate(raw)
    except ValidationError as error:
        raise UsageError(f"{path}: {complaints(error)}") from None
    return _anchored(config, path.resolve().parent)


def complaints(error: ValidationError) -> str:
    """All that is wrong, in one line: "field: reason; field: reason"."""
    # A union reports each member it tried; the member's class name is noise in the field's path.
    lines = []
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"] if not str(part).endswith("Source"))
        lines.append(f"{place or 'config'}: {problem['msg'].removeprefix('Value error, ')}")
    return "; ".join(dict.fromkeys(lines))


def _anchored(config: TrainConfig, folder: Path) -> TrainConfig:
    """The same config with relative paths taken from the YAML's folder."""

    def walk(value: Any) -> Any:
        if isinstance(value, Path):
            return folder / value
        if isinstance(value, BaseModel):
            fields = {name: walk(getattr(value, name)) for name in type(value).model_fields}
            return value.model_copy(update=fields)
        return value

    anchored: TrainConfig = walk(config)
    if config.init is None:
        return anchored
    return anchored.model_copy(update={"init": _anchored_init(config.init, folder)})


def _anchored_init(init: str | Path, folder: Path) -> str | Path:
    """A name stays one, unless a file beside the YAML is called so."""
    beside = folder / init
    return init if is_name(init) and not beside.is_file() else beside


def is_name(init: str | Path) -> bool:
    """Whether this is the name of a model or backbone: no path is one, whatever its end."""
    return isinstance(init, str) and (init in zoo.CARDS or init in zoo.BACKBONES)
