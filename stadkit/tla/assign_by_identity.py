"""Identity-aware temporal label assignment ("tla+"): better than Algorithm 1 where measured.

Algorithm 1's pool contains a person of both neighbours twice. After a missed person, a duplicate
or a false detection, the second copy is assigned to someone else. Here both copies form one
candidate, which offers the labels of either side. A person of both neighbours without a detection
is kept: the box is interpolated between the two truth boxes.
"""

from __future__ import annotations

import numpy as np

from stadkit.arrays import Rows, frame_of_rows, pairs_within_frames
from stadkit.tla.assignment import Floats, assign, costs
from stadkit.tla.block import BlockLabels, FrameBlock, from_pool
from stadkit.tla.interpolation import Paths, label_paths, people_between
from stadkit.tla.options import LabellingOptions


def assign_by_identity(block: FrameBlock, options: LabellingOptions) -> BlockLabels:
    """Assign labels as in Algorithm 1, each person once in the pool; then add missed people."""
    paths = people_between(block)
    left, right = _pool_rows(block, paths)
    head = np.arange(len(block.pool))
    head[right] = left
    taken, cost = _assign(block, head, options)
    missed = ~np.isin(left, head[taken[taken >= 0]])
    return _concatenate(from_pool(block, taken, cost), label_paths(block, paths.select(missed)))


def _pool_rows(block: FrameBlock, paths: Paths) -> tuple[Rows, Rows]:
    """Return the pool rows [r] of the left and right ends of paths."""
    frame = frame_of_rows(paths.start)
    first = block.truth.start[:-1]
    at = block.pool_start[:-1][frame]
    left = first[block.left[frame]]
    people = np.diff(block.truth.start)[block.left[frame]]
    return at + paths.left - left, at + people + paths.right - first[block.right[frame]]


def _assign(block: FrameBlock, head: Rows, options: LabellingOptions) -> tuple[Rows, Floats]:
    """Return (assigned pool row [n], its cost [n]); of copies with one head [q], the cheaper."""
    order = np.argsort(head, kind="stable")  # copies of a person become adjacent
    row, other = pairs_within_frames(block.found.start, block.pool_start)
    pool = block.pool[order]
    label, box = block.truth.score[pool] > 0.5, block.truth.box[pool]
    cost, background = costs(block.found.score, block.found.box, label, box, row, other, options)
    group = head[order][other]
    first = np.flatnonzero(np.diff(row, prepend=-1) | np.diff(group, prepend=-1))
    last = np.append(first, len(row))[1:] - 1
    cheaper = np.where(cost[last] < cost[first], last, first)
    heads = np.bincount(frame_of_rows(block.pool_start)[np.unique(head)], minlength=len(block.time))
    n = np.diff(block.found.start)
    chosen = cheaper[assign(cost[cheaper], background, n, heads, options.background)]
    taken, assigned_cost = (
        np.full(len(block.found.box), -1, np.intp),
        np.full(len(background), np.nan),
    )
    taken[row[chosen]], assigned_cost[row[chosen]] = order[other[chosen]], cost[chosen]
    return taken, assigned_cost


def _concatenate(found: BlockLabels, missed: BlockLabels) -> BlockLabels:
    """Concatenate both, sorted by frame; detections come first within a frame."""
    frame = np.concatenate([found.frame, missed.frame])
    order = np.argsort(frame, kind="stable")
    return BlockLabels(
        frame[order],
        np.concatenate([found.found, missed.found])[order],
        np.concatenate([found.person, missed.person])[order],
        np.concatenate([found.box, missed.box])[order],
        np.concatenate([found.action, missed.action])[order],
        np.concatenate([found.cost, missed.cost])[order],
    )
