"""The training config in YAML; a wrong field gives a one-line error that names it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stadkit import zoo
from stadkit.errors import UsageError


class Strict(BaseModel):
    """A frozen model that rejects unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SemiConfig(Strict):
    """The semi-supervised stage, ME-STAD section 3.4: a teacher labels clips between keyframes.

    burn_in: epochs of the supervised stage before; 0 if `init` has been through it. A `strategy` of
    Table 5 labels the teacher's boxes: "tla", "hard", "per-class" or "nearest"; "ema" only averages
    weights, "none" is the supervised stage alone.
    """

    strategy: Literal["tla", "hard", "per-class", "nearest", "ema", "none"] = "tla"
    burn_in: int = Field(0, ge=0)
    unlabelled: int = Field(1, ge=1)  # unlabelled clips per labelled clip of `batch`
    weight: float = Field(0.5, ge=0)  # lambda_unsup of Eq. 4, Table 4
    localization: bool = True  # Eq. 5 has both terms; false: actions only, as in SE-STAD's release
    # Decay of the teacher's weights, with `Average`'s ramp; the release's value, as the paper gives
    # none.
    ema: float = Field(0.999, ge=0, lt=1)
    # The teacher's batch norm statistics: copied from the student, averaged like the weights, or
    # kept from the start of the stage, as in the release.
    buffers: Literal["copy", "average", "keep"] = "copy"
    # Seconds between an unlabelled clip and a labelled keyframe: near the middle of two keyframes
    # at one per second.
    offset: tuple[float, float] = (1 / 3, 1 / 2)
    places: int = Field(2, ge=1)  # times around a keyframe, alternately before and after it
    min_person: float | None = Field(None, ge=0, le=1)  # of the teacher's boxes; null: the card's
    max_people: int = Field(10, ge=1)  # per clip, the teacher's highest scores
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
            raise ValueError("offset must be [low, high] seconds with 0 < low <= high")
        return self

    @property
    def labels(self) -> bool:
        """Whether the strategy uses unlabelled clips."""
        return self.strategy not in ("ema", "none")


class PlaygroundSource(Strict):
    """Clips rendered on demand; clip i has seed `seed + i`."""

    clips: int = Field(gt=0)
    seed: int = Field(ge=0)
    height: int = Field(180, ge=32)
    width: int = Field(240, ge=32)
    # wide: more places, people and framings; mixed: clips with odd seeds are wide.
    variety: Literal["standard", "wide", "mixed"] = "standard"
    pace: float = Field(1.0, ge=0.1, le=10)  # factor on people's speed
    glitches: float = Field(0.0, ge=0, le=1)  # share of damaged frames; the truth is unaffected


class AnnotatedSource(Strict):
    """AVA-format truth over a folder of videos, or of folders of extracted frames."""

    truth: Path
    labels: Path
    videos: Path | None = None
    frames: Path | None = None
    rate: float = Field(30.0, gt=0)  # extracted frames per second
    offset: float = 0.0  # the first frame's time in the truth: 900 in AVA
    thin: int = Field(1, gt=0)  # use every n-th labelled frame of a video
    # For tubelets: the annotation interval in seconds, from the first frame on. Without rows at an
    # annotated time, the frame is empty. null: frames without rows are unknown.
    every: float | None = Field(None, gt=0)
    # For `classifier: long`: the folder of `detect --save-queries` for these videos, and the
    # seconds of it used around a key frame, half before and half after.
    queries: Path | None = None
    window: float = Field(60.0, gt=0)
    short_side: int = Field(320, ge=32)  # of clips in the clip store

    @model_validator(mode="after")
    def one_place(self) -> AnnotatedSource:
        if (self.videos is None) == (self.frames is None):
            raise ValueError("give either `videos` or `frames`")
        return self


class DataConfig(Strict):
    """Training data, validation data, and the cache of decoded clips."""

    train: PlaygroundSource | AnnotatedSource
    val: PlaygroundSource | AnnotatedSource | None = None
    store: Path | None = None  # cache of decoded or rendered clips; default: in the run's folder
    workers: int = Field(1, ge=0)


class AugmentConfig(Strict):
    """ME-STAD section 4.1: random short side, crop and flip; the rest is off by default.

    EVAD trains on whole frames: `crop: null`, which pads to the largest of a batch.
    """

    short_side: tuple[int, int] = (256, 320)
    crop: tuple[int, int] | None = (256, 256)  # height, width; null: the whole frame
    flip: float = Field(0.5, ge=0, le=1)
    stretch: float = Field(0.0, ge=0, lt=0.5)  # width scaled by 1 - stretch .. 1 + stretch
    gain: float = Field(0.0, ge=0, lt=1)  # each colour channel scaled by 1 - gain .. 1 + gain
    shift: float = Field(0.0, ge=0)  # added to all pixels, -shift .. shift of 255 levels
    grey: float = Field(0.0, ge=0, le=1)  # share of clips without colour
    shuffle: float = Field(0.0, ge=0, le=1)  # share of clips with colour channels permuted
    min_visible: float = Field(0.25, ge=0, le=1)  # people of whom less is visible are dropped

    @model_validator(mode="after")
    def ordered(self) -> AugmentConfig:
        if not 0 < self.short_side[0] <= self.short_side[1]:
            raise ValueError("short_side must be [low, high] with 0 < low <= high")
        if self.crop is not None and min(self.crop) < 16:
            raise ValueError("crop must be [height, width] of 16 pixels or more")
        return self


class OptimizerConfig(Strict):
    """SGD as in ME-STAD section 4.1, AdamW or Muon; `lr` is the rate after the warm-up.

    EVAD's heads learn at 8 times the rate of its backbone, pyramid and initial boxes:
    `head_scale`.
    """

    name: Literal["sgd", "adamw", "muon"] = "sgd"
    lr: float = Field(0.075, gt=0)
    head_scale: float = Field(1.0, gt=0)  # factor on `lr` for newly initialized parts
    weight_decay: float = Field(1e-5, ge=0)  # not on norms, biases and mask tokens
    momentum: float = Field(0.9, ge=0, lt=1)  # sgd, muon
    clip_grad: float = Field(40.0, ge=0)  # maximum L2 norm; 0: no clipping


class ScheduleConfig(Strict):
    """Linear warm-up, then a cosine down to `last` of the rate, or `steps`; updated every step."""

    epochs: int = Field(gt=0)
    warmup: float = Field(2.0, ge=0)  # epochs
    start: float = Field(0.1, ge=0, le=1)  # share of the rate at step 0 of the warm-up
    shape: Literal["cosine", "steps"] = "cosine"
    last: float = Field(0.0, ge=0, le=1)  # cosine: share of the rate at the end
    steps: tuple[float, ...] = ()  # steps: epochs after which the rate is divided by 10

    @model_validator(mode="after")
    def of_one_shape(self) -> ScheduleConfig:
        if (self.shape == "steps") != bool(self.steps):
            raise ValueError("`shape: steps` needs `steps`, and other shapes must not have it")
        if self.shape == "steps" and self.last:
            raise ValueError("`last` needs `shape: cosine`")
        ends = (0.0, *self.steps, float(self.epochs))
        if any(not a < b for a, b in itertools.pairwise(ends)):
            raise ValueError("steps must be increasing epochs between 0 and `epochs`")
        return self


class FitConfig(Strict):
    """How a fitted head's layer is fitted (`training.fitting`); an epoch is one view per clip."""

    l2: float = Field(3e-4, gt=0)  # penalty on half the squared weights
    smoothing: float = Field(0.1, ge=0, lt=1)  # label smoothing for exclusive classes
    iterations: int = Field(60, gt=0)  # maximum, of L-BFGS
    jitter: float = Field(0.1, ge=0, lt=0.5)  # a copy's sides move by up to this share of the box
    jitter_copies: int = Field(2, ge=0)  # of each person's box, besides the true one


class TrainConfig(Strict):
    """A training; paths are relative to the YAML's folder.

    init: weights to start from: a path, or just the name of a model or backbone.
    """

    model: str
    settings: dict[str, Any] = Field(default_factory=dict)  # override the zoo's settings
    # Input short side in pixels of the trained model, in `detect` and data.val; null: the zoo's.
    short_side: int | None = Field(None, ge=32)
    init: str | Path | None = None
    data: DataConfig
    augment: AugmentConfig = AugmentConfig()
    loss: dict[str, Any] = Field(default_factory=dict)  # fields of the model's loss config
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig
    batch: int = Field(48, gt=0)  # clips a step, over all processes
    fit: FitConfig = FitConfig()  # for mestad-nano, which does not use loss, optimizer and ema
    ema: float = Field(0.0, ge=0, lt=1)  # decay per step of averaged weights; 0: none
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = Field(0, ge=0)
    semi: SemiConfig | None = None

    @model_validator(mode="after")
    def has_a_teacher(self) -> TrainConfig:
        semi = self.semi
        if semi is None or semi.strategy == "none":
            return self
        if self.init is None and not semi.burn_in:
            raise ValueError("semi needs a trained teacher: give `init`, or epochs of semi.burn_in")
        if semi.burn_in >= self.schedule.epochs:
            raise ValueError("semi.burn_in must be less than schedule.epochs")
        if self.ema and not semi.burn_in:
            raise ValueError("`ema` is for the burn-in; set the teacher's with semi.ema")
        if semi.labels and isinstance(self.data.train, PlaygroundSource):
            raise ValueError(
                "semi needs data.train with truth and videos (e.g. from `stadkit synth`): rendered "
                "clips are labelled only at the key frame"
            )
        return self


def read_config(path: Path) -> TrainConfig:
    """Read and validate a YAML config; raises UsageError naming the file and the field."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path}: no such config; examples are in examples/configs") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise UsageError(f"{path}: expected `field: value` lines, found {type(raw).__name__}")
    try:
        config = TrainConfig.model_validate(raw)
    except ValidationError as error:
        raise UsageError(f"{path}: {complaints(error)}") from None
    return _anchored(config, path.resolve().parent)


def complaints(error: ValidationError) -> str:
    """All validation errors in one line: "field: reason; field: reason"."""
    # A union reports every member it tried; the member's class name is noise in the field's path.
    lines = []
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"] if not str(part).endswith("Source"))
        lines.append(f"{place or 'config'}: {problem['msg'].removeprefix('Value error, ')}")
    return "; ".join(dict.fromkeys(lines))


def _anchored(config: TrainConfig, folder: Path) -> TrainConfig:
    """Resolve a config's relative paths against the YAML's folder."""

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
    """Resolve `init` to a path, unless it is a known name and no file beside the YAML has it."""
    beside = folder / init
    return init if is_name(init) and not beside.is_file() else beside


def is_name(init: str | Path) -> bool:
    """Whether this is the name of a model or backbone, not a path."""
    return isinstance(init, str) and (init in zoo.CARDS or init in zoo.BACKBONES)
