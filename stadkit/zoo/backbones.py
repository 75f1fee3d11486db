"""Pre-trained video backbones to start training from: where to get them, and their shape."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Backbone:
    """A pre-trained video backbone on the Hugging Face Hub or at a URL, and its shape."""

    repo: str  # on the Hub; empty: use `address`
    settings: Mapping[str, Any]  # fields of models.vit.VitConfig or models.slowfast.SlowFastConfig
    size: int | None  # approximate bytes of the file; None: unknown
    trained: str
    file: str = "model.safetensors"
    licence: str = "CC-BY-NC-4.0"
    kind: str = "vit"  # or "slowfast"
    address: str = ""  # URL of the file, where it is not on the Hub

    @property
    def url(self) -> str:
        """The Hub page, or the URL of the file itself."""
        return self.address or f"https://huggingface.co/{self.repo}"

    def build(self) -> nn.Module:
        """Build the untrained network."""
        if self.kind == "slowfast":
            from stadkit.models.slowfast import SlowFast, SlowFastConfig

            return SlowFast(SlowFastConfig(**self.settings))
        from stadkit.models.vit import Vit, VitConfig

        return Vit(VitConfig(**self.settings))


def _pyslowfast(file: str, kinetics: str, **settings: Any) -> Backbone:
    """A SlowFast from PySlowFast's model zoo, with Caffe2 blob names."""
    return Backbone(
        repo="",
        settings=settings,
        size=None,  # not published; the file may also hold the optimizer's momentum
        trained=f"{kinetics}, supervised",
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
        trained="Kinetics-400, self-supervised, then fine-tuned",
    ),
    "videomae-large": Backbone(
        repo="MCG-NJU/videomae-large-finetuned-kinetics",
        settings={"width": 1024, "depth": 24, "heads": 16},
        size=1_220_000_000,
        trained="Kinetics-400, self-supervised, then fine-tuned",
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
    """A backbone's renamed tensors, and the file's names that were not used."""

    tensors: dict[str, Tensor]  # `backbone.*`
    unused: list[str]  # heads, decoders, and tables that are computed here


# Norms that some sources lack; they are then newly initialized. FINAL_NORM follows a transformer's
# last block: classifiers have `fc_norm`, after the mean over tokens, instead. FUSION_NORM belongs
# to SlowFast's fusions: mmaction2 has no norms there.
FINAL_NORM = ("backbone.norm.weight", "backbone.norm.bias")
FUSION_NORM = tuple(
    f"backbone.s{stage}_fuse.bn.{part}"
    for stage in range(1, 5)
    for part in ("weight", "bias", "running_mean", "running_var")
)


def optional_missing(missing: Iterable[str], present: Collection[str]) -> set[str]:
    """The names among `missing` that a file holding the names `present` may lack.

    A file may lack all norms of a kind, but not some of them. It may also lack step counters,
    which do not affect inference and which Caffe2 does not store.
    """
    optional = {
        name
        for norms in (FINAL_NORM, FUSION_NORM)
        if not any(norm in present for norm in norms)
        for name in norms
    }
    return {name for name in missing if name in optional or name.endswith(".num_batches_tracked")}
