"""Load a detector by the name of a model or from weights that training wrote."""

from __future__ import annotations

from pathlib import Path

from stadkit.detection.detector import Detector
from stadkit.detection.device import pick_device
from stadkit.errors import WeightsError
from stadkit.zoo import Card, build_card, card, find_weights, load_weights, read_sidecar
from stadkit.zoo.cards import from_json
from stadkit.zoo.weights import expected_sha256


def load(name: str, device: str = "auto", precision: str = "auto") -> Detector:
    """Load a model of the zoo by name, or a .safetensors file with its card beside it.

    Raises UsageError for an unknown name, device or precision, and WeightsError for weights
    that are missing, damaged or of another model.
    """
    pick_device(device)
    if name.endswith(".safetensors"):
        path, wanted = Path(name), ""
        known = _card_beside(path)
    else:
        known = card(name)
        path = find_weights(name)
        wanted = expected_sha256(name, path)
    model = build_card(known)
    digest = load_weights(model, path, wanted)
    return Detector(model, known, device, precision, path.stem, digest).lower()


def _card_beside(path: Path) -> Card:
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; `stadkit models list` shows the known models")
    try:
        return from_json(read_sidecar(path)["card"])
    except (KeyError, TypeError, ValueError):
        raise WeightsError(
            f"{path}: no model card beside it ({path.stem}.json); `stadkit models import` brings "
            "in weights of a known model"
        ) from None
