"""Whether a model runs to give results, or to be written down as a graph."""

from __future__ import annotations

import torch


def exporting() -> bool:
    """Whether a graph is being traced for export: its shapes cannot hang on numbers.

    torch before 2.7 cannot tell; there the export of what asks fails.
    """
    return hasattr(torch.compiler, "is_exporting") and torch.compiler.is_exporting()
