"""Plots of a frame mAP: AP per class, precision and recall, confusion, calibration."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stadkit.errors import UsageError
from stadkit.instances import Instances
from stadkit.metrics.frame_map import FrameMap
from stadkit.metrics.mistakes import Mistakes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = ("ap.png", "precision_recall.png", "confusion.png", "calibration.png")
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"
_MAX_NAME_LENGTH = 42  # letters of a class name
_STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "text.parse_math": False,  # class names may contain $
    "figure.dpi": 110,
}
Floats = NDArray[np.float64]


def write_plots(folder: Path, found: Instances, result: FrameMap, wrong: Mistakes) -> list[Path]:
    """Write the plots of NAMES into a folder, created if missing; return their paths.

    Raises UsageError without matplotlib.
    """
    draw: tuple[Callable[[], Figure], ...] = (
        lambda: ap_bars(result),
        lambda: curves(result),
        lambda: confusion(wrong),
        lambda: reliability(found, result),
    )
    paths = [folder / name for name in NAMES]
    with drawing():
        folder.mkdir(parents=True, exist_ok=True)
        for path, figure in zip(paths, draw, strict=True):
            figure().savefig(path)
    return paths


@contextmanager
def drawing() -> Iterator[None]:
    """Apply our matplotlib style; raises UsageError when matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError as error:
        raise UsageError(
            "plots need matplotlib, which is not installed; run pip install 'stadkit[report]'"
        ) from error
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # Glyphs missing from the font are drawn as boxes.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


def ap_bars(result: FrameMap) -> Figure:
    """Draw one bar per class, best on top, with its AP and number of truth boxes."""
    ap = result.ap.mean(0)
    rows = np.flatnonzero(~np.isnan(ap))
    rows = rows[np.argsort(ap[rows], kind="stable")]
    figure, axes = _figure(8.0, 1.4 + 0.21 * max(len(rows), 3))
    place = np.arange(len(rows))
    axes.barh(place, ap[rows], color=BLUE, height=0.75)
    for y, row in enumerate(rows.tolist()):
        text = f"{100 * ap[row]:.1f}  ({result.truths[row]:,})"
        # White background, for text that crosses the mean line.
        background = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
        axes.text(ap[row] + 0.008, y, text, va="center", fontsize=7, color=GREY, bbox=background)
    axes.axvline(result.mean, color=ORANGE, linewidth=1.5)
    axes.set_yticks(place, [_short(result.classes[row]) for row in rows], fontsize=8)
    axes.set_xlim(0, 1.12)
    axes.set_xticks(np.linspace(0, 1, 6), [f"{p}" for p in range(0, 101, 20)])
    axes.set_ylim(-0.7, max(len(rows), 1) - 0.3)
    axes.set_xlabel("AP, percent (number of truth boxes in parentheses)")
    axes.grid(axis="x")
    axes.set_title(f"Frame AP, {_at(result)}: mean {_percent(result.mean, 2)} (line)", loc="left")
    return figure


def curves(result: FrameMap) -> Figure:
    """Draw precision over recall, one panel per class, in class order."""
    rows = np.flatnonzero(result.truths > 0)
    across = int(min(8, max(1, np.ceil(np.sqrt(1.6 * len(rows))))))
    down = max(1, -(-len(rows) // across))
    figure = _empty(1.75 * across + 0.4, 1.55 * down + 0.9)
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    curve_of_class = precision_recall(result)
    for place, axes in enumerate(panels.ravel()):
        if place < len(rows):
            _curve(axes, *curve_of_class[rows[place]])
            name = _short(result.classes[rows[place]], 22)
            axes.set_title(f"{name}\nAP {_percent(result.ap[0, rows[place]], 1)}", fontsize=7)
        else:
            axes.axis("off")
    figure.supxlabel("recall", fontsize=9)
    figure.supylabel("precision", fontsize=9)
    figure.suptitle(f"Precision and recall at IoU {result.ious[0]:g}", fontsize=10)
    return figure


def _curve(axes: Axes, recall: NDArray[np.float64], precision: NDArray[np.float64]) -> None:
    if len(recall):
        recall = np.concatenate([[0], recall, recall[-1:]])
        precision = np.concatenate([precision[:1], precision, [0]])
        axes.fill_between(recall, precision, step="pre", color=BLUE, alpha=0.25, linewidth=0)
        axes.step(recall, precision, where="pre", color=BLUE, linewidth=1.2)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.04)
    axes.set_xticks([0, 0.5, 1], ["0", ".5", "1"], fontsize=7)
    axes.set_yticks([0, 0.5, 1], ["0", ".5", "1"], fontsize=7)
    axes.grid()


def confusion(wrong: Mistakes) -> Figure:
    """Draw the confusion matrix: truth by row, top detections by column, in shares of truth."""
    counts = wrong.confusion
    of = np.append(wrong.truths, counts[-1].sum())
    used = np.flatnonzero((counts.sum(0) + counts.sum(1))[:-1])
    kept = np.append(used, len(counts) - 1)
    counts = counts[np.ix_(kept, kept)]
    # Several wrong detections of one truth can exceed its count.
    share = np.minimum(counts / np.maximum(of[kept], 1)[:, None], 1)
    names = [_short(wrong.classes[row], 24) for row in used.tolist()]
    side = 3.2 + 0.19 * max(len(kept), 12)
    figure, axes = _figure(side + 0.6, side)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    size = 8 if len(kept) < 30 else 6.5
    axes.set_xticks(np.arange(len(kept)), [*names, "missed"], rotation=90, fontsize=size)
    axes.set_yticks(np.arange(len(kept)), [*names, "background"], fontsize=size)
    axes.set_xticks(np.arange(len(kept)) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(kept)) - 0.5, minor=True)
    axes.grid(which="minor", color="#eeeeee", linewidth=0.5)
    axes.tick_params(which="both", length=0)
    axes.set_xlabel("predicted by the top detections")
    axes.set_ylabel("truth")
    if len(kept) <= 16:
        _write_shares(axes, share)
    axes.set_title(f"Confusion at IoU {wrong.min_iou:g}: shares of each row's truth", loc="left")
    figure.colorbar(image, ax=axes, shrink=0.5, pad=0.02)
    return figure


def _write_shares(axes: Axes, share: NDArray[np.float64]) -> None:
    for row, column in np.argwhere(share >= 0.005).tolist():
        value = share[row, column]
        colour = "white" if value > 0.6 else "black"
        words = f"{100 * value:.0f}"
        axes.text(column, row, words, ha="center", va="center", fontsize=7, color=colour)


def reliability(found: Instances, result: FrameMap) -> Figure:
    """Draw the share of right detections over score, and the number of detections below."""
    table = calibration(found, result)
    figure = _empty(5.2, 5.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    width = table.edges[1]
    middle = table.edges[:-1] + width / 2
    above.bar(middle, np.nan_to_num(table.right), width=0.9 * width, color=BLUE)
    above.plot([0, 1], [0, 1], color=ORANGE, linewidth=1.5)
    above.set_ylim(0, 1.02)
    above.set_xlim(0, 1)
    above.set_ylabel("share right")
    above.grid()
    below.bar(middle, table.count, width=0.9 * width, color=GREY)
    if table.count.any():
        below.set_yscale("log")
        below.set_ylim(0.7, 3 * table.count.max())
        below.yaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")
    below.set_ylabel("detections")
    below.set_xlabel("score")
    below.grid(axis="y")
    error = f"{table.error:.3f}" if np.isfinite(table.error) else "-"
    title = f"Calibration at IoU {result.ious[0]:g}: error {error}"
    above.set_title(f"{title}\nline: score = share right", loc="left")
    return figure


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = _empty(width, height)
    return figure, figure.add_subplot()


def _empty(width: float, height: float) -> Figure:
    """Make an empty figure of this size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _at(result: FrameMap) -> str:
    if len(result.ious) == 1:
        return f"IoU {result.ious[0]:g}"
    return f"IoU {result.ious[0]:g} to {result.ious[-1]:g}"


def _percent(value: float, digits: int) -> str:
    """Format a fraction as "34.4"; a dash for NaN."""
    return f"{100 * value:.{digits}f}" if np.isfinite(value) else "-"


def _short(name: str, letters: int = _MAX_NAME_LENGTH) -> str:
    return name if len(name) <= letters else name[: letters - 1].rstrip() + "…"


def precision_recall(result: FrameMap) -> list[tuple[Floats, Floats]]:
    """Return (recall, precision) of each class at the first threshold, after each right detection.

    Precision is the envelope whose area is AP; empty for a class without truth.
    """
    curves = []
    for rows, truths in zip(result.ranking, result.truths.tolist(), strict=True):
        at = np.flatnonzero(result.right[0, rows]) if truths else np.zeros(0, np.intp)
        hits = np.arange(1, len(at) + 1)
        envelope = np.maximum.accumulate((hits / (at + 1))[::-1])[::-1]
        curves.append((hits / max(truths, 1), envelope))
    return curves


@dataclass(frozen=True)
class Calibration:
    """Detections binned by score, in equal widths over 0..1; empty bins are NaN."""

    edges: Floats  # [b + 1]
    count: NDArray[np.int64]  # [b]
    score: Floats  # [b]  mean score
    right: Floats  # [b]  share right

    @property
    def error(self) -> float:
        """Expected calibration error (ECE): mean |score - share right|; NaN without detections."""
        filled = self.count > 0
        gap = abs(self.score[filled] - self.right[filled])
        return float(np.average(gap, weights=self.count[filled])) if filled.any() else float("nan")


def calibration(found: Instances, result: FrameMap, bins: int = 10) -> Calibration:
    """Compute how often detections of each score are right, at the first threshold.

    Only classes with truth count, and scores within 0..1 (probabilities).
    """
    scored = result.counted & (found.score >= 0) & (found.score <= 1)
    scored &= result.truths[found.label.clip(min=0)] > 0
    score, right = found.score[scored], result.right[0, scored]
    edges = np.linspace(0, 1, bins + 1)
    at = np.minimum((score * bins).astype(np.int64), bins - 1)
    count = np.bincount(at, minlength=bins)
    share, mean = np.full(bins, np.nan), np.full(bins, np.nan)
    np.divide(np.bincount(at, right, bins), count, out=share, where=count > 0)
    np.divide(np.bincount(at, score, bins), count, out=mean, where=count > 0)
    return Calibration(edges, count, mean, share)
