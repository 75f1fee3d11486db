"""Model names -> cards, untrained modules and verified weights."""

from stadkit.zoo.backbones import BACKBONES
from stadkit.zoo.cards import CARDS, Card, build, build_card, card
from stadkit.zoo.checkpoint import read_checkpoint
from stadkit.zoo.importing import import_file
from stadkit.zoo.machine import bf16_is_faster
from stadkit.zoo.pulling import pull
from stadkit.zoo.weights import (
    find_weights,
    load_weights,
    read_sidecar,
    save_weights,
    sha256,
    state,
    weights_path,
)

__all__ = [
    "BACKBONES",
    "CARDS",
    "Card",
    "bf16_is_faster",
    "build",
    "build_card",
    "card",
    "find_weights",
    "import_file",
    "load_weights",
    "pull",
    "read_checkpoint",
    "read_sidecar",
    "save_weights",
    "sha256",
    "state",
    "weights_path",
]
