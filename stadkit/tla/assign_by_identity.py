"""Temporal label assignment with each person once: better than Algorithm 1 where measured.

Algorithm 1's pool has a person of both neighbours twice. Where a box finds nobody, or a person is
found twice, the second copy goes to somebody who is another: here the two are one candidate, who
offers the labels of either side. A person of both neighbours whom nobody found is still there:
the box is between the two of truth.
"""

from __future__ import annotations

import numpy as np

from stadkit.arrays import Rows, frame_of_rows, pairs_within_frames
from stadkit.tla.assignment import Floats, assign, costs
from stadkit.tla.block import Block, BlockLabels, from_pool
from stadkit.tla.interpolation import Paths, on_paths, people_between
from stadkit.tla.options import Options


def by_person(block: Block, options: Options) -> BlockLabels:
    """Labels as Algorithm 1 gives them, of a pool that has everybody once; then who was missed."""
    paths = people_between(block)
    left, right = _places(block, paths)
    head = np.arange(len(block.pool))
    head[right] = left
    taken, cost = _assign(block, head, options)
    missed = ~np.isin(left, head[taken[taken >= 0]])
    return _together(from_pool(block, taken, cost), on_paths(block, paths.select(missed)))


def _places(block: Block, paths: Paths) -> tuple[Rows, Rows]:
    """Where in the pool [r] the left and right ends of paths are."""
    frame = frame_of_rows(paths.start)
    first = block.truth.start[:-1]
    at = block.pool_start[:-1][frame]
    left = first[block.left[frame]]
    people = np.diff(block.truth.start)[block.left[frame]]
    return at + paths.left - left, at + people + paths.right - first[block.right[frame]]


def _assign(block: Block, head: Rows, options: Options) -> tuple[Rows, Floats]:
    """(who of the pool is taken [n], the cost [n]): of those with one head [q], the cheaper."""
    order = np.argsort(head, kind="stable")  # who is one person side by side
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
    taken, paid = np.full(len(block.found.box), -1, np.intp), np.full(len(background), np.nan)
    taken[row[chosen]], paid[row[chosen]] = order[other[chosen]], cost[chosen]
    return taken, paid


def _together(found: BlockLabels, missed: BlockLabels) -> BlockLabels:
    """Both by frame; in a frame those found come first."""
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
