"""What all parts of a training YAML are."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Misspelt fields fail; values never change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)
