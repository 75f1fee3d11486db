"""Whether the network may be used: `--offline` of a command, or HF_HUB_OFFLINE for all of them."""

from __future__ import annotations

import os
import sys

from stadkit.errors import WeightsError


def go_offline() -> None:
    """No network from now on, in this process and in those that it starts."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    # The Hub's client reads the variable once, as it is imported.
    if known := sys.modules.get("huggingface_hub.constants"):
        known.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]


def is_offline() -> bool:
    """Whether the network is not to be used."""
    from huggingface_hub import constants

    return constants.HF_HUB_OFFLINE


def refuse_offline(what: str, hand: str = "") -> None:
    """Raise WeightsError where the network is not to be used; hand: what the user can do else."""
    if is_offline():
        raise WeightsError(
            f"{what}: offline mode is on (--offline or HF_HUB_OFFLINE); unset it to download"
            + (f", {hand}" if hand else "")
        )
