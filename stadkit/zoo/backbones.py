"""Pre-trained video networks to start a training from: where they are, and their shape."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Backbone:
    """A pre-trained video network on the Hugging Face Hub or at an address, and its shape."""

    repo: str  # on the Hub; empty: at `address`
    settings: Mapping[str, Any]  # of models.vit.VitConfig or models.slowfast.SlowFastConfig
    size: int | None  # bytes of the file, about; None: unknown
    trained: str
    file: str = "model.safetensors"
    licence: str = "CC-BY-NC-4.0"
    kind: str = "vit"  # or "slowfast"
    address: str = ""  # of the file itself, where it is not on the Hub

    @property
    def url(self) -> str:
        """Its page, or the file itself where it has none."""
        return self.address or f"https://huggingface.co/{self.repo}"

    def build(self) -> nn.Module:
        """The untrained network."""
        if self.kind == "slowfast":
            from stadkit.models.slowfast import SlowFast, SlowFastConfig

            return SlowFast(SlowFastConfig(**self.settings))
        from stadkit.models.vit import Vit, VitConfig

        return Vit(VitConfig(**self.settings))


def _pyslowfast(file: str, kinetics: str, **settings: Any) -> Backbone:
    """A SlowFast of PySlowFast's model zoo, under its Caffe2 names."""
    return Backbone(
        repo="",
        settings=settings,
        size=None,  # nobody tells it, and the momentum may lie beside the weights
        trained=f"{kinetics}, with labels",
        file=file.rpartition("/")[2],
        licence="Apache-2.0",
        kind="slowfast",
        address=f"https://dl.fbaipublicfiles.com/pyslowfast/model_zoo/{file}",
    )


BACKBONES: dict[str, Backbone] = {
    "videomae-base": Backbone(
        repo="MCG-NJU/videomae-base-finetuned-kinetics",
        settings={"width": 768, "depth": 12, "heads": 12},
        size=346_000_000,
        trained="Kinetics-400, without labels and then with them",
    ),
    "videomae-large": Backbone(
        repo="MCG-NJU/videomae-large-finetuned-kinetics",
        settings={"width": 1024, "depth": 24, "heads": 16},
        size=1_220_000_000,
        trained="Kinetics-400, without labels and then with them",
    ),
    "slowonly-r50-k400": _pyslowfast(
        "kinetics400/SLOWONLY_4x16_R50.pkl", "Kinetics-400", depths=(3, 4, 6, 3), fast=False
    ),
    "slowfast-r50-k400": _pyslowfast(
        "kinetics400/SLOWFAST_8x8_R50.pkl", "Kinetics-400", depths=(3, 4, 6, 3), fusion_kernel=7
    ),
    "slowfast-r101-nl-k600": _pyslowfast(
        "ava/pretrain/SLOWFAST_32x2_R101_50_50.pkl",
        "Kinetics-600",
        depths=(3, 4, 23, 3),
        fusion_kernel=5,
        nonlocal4=(6, 13, 20),
    ),
}


class Renamed(NamedTuple):
    """A backbone's tensors, and what of the file is none of it."""

    tensors: dict[str, Tensor]  # `backbone.*`
    unused: list[str]  # names of the file: heads, decoders, tables that are computed here


# Norms that files of some sources have none of; they start anew then. The one after a transformer's
# last block: classifiers have another (`fc_norm`, after the mean over tokens) in its place. Those
# of SlowFast's fusions: mmaction2 has none there.
FINAL_NORM = ("backbone.norm.weight", "backbone.norm.bias")
FUSION_NORM = tuple(
    f"backbone.s{stage}_fuse.bn.{part}"
    for stage in range(1, 5)
    for part in ("weight", "bias", "running_mean", "running_var")
)


def may_lack(lacking: Iterable[str], given: Collection[str]) -> set[str]:
    """Of the names that a file lacks those that it may, by the names `given` in it.

    Norms of a kind it may lack altogether, not in part; and counters of steps, which matter to
    no one and which Caffe2 has not.
    """
    free = {
        name
        for norms in (FINAL_NORM, FUSION_NORM)
        if not any(norm in given for norm in norms)
        for name in norms
    }
    return {name for name in lacking if name in free or name.endswith(".num_batches_tracked")}
