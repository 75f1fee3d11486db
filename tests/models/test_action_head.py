"""Action heads read boxes and only the unpadded part of the map."""

import pytest
import torch
from torch import Tensor

from stadkit.models.action_head import AcrnHead, LinearHead

WHOLE = torch.tensor([[3, 4]])
BOX, FIRST = torch.tensor([[16.0, 16, 48, 48]]), torch.tensor([0])


def summing(head: LinearHead) -> LinearHead:
    torch.nn.init.ones_(head.projection.weight)
    torch.nn.init.zeros_(head.projection.bias)
    return head.eval()


def ramp() -> Tensor:
    """One channel, each cell's value is its column: [1, 1, 3, 4]."""
    return torch.arange(4).float().expand(1, 1, 3, 4)


def test_the_linear_head_reads_the_maximum_of_the_box() -> None:
    # The box covers columns 1 and 2; its samples stay inside them.
    got = summing(LinearHead(1, 2, size=2, sampling=1))(ramp(), WHOLE, BOX, FIRST, 16)
    assert got.tolist() == [[2.0, 2.0]]


def test_context_concatenates_the_whole_map() -> None:
    head = summing(LinearHead(1, 1, size=2, sampling=1, context=True))
    # The map pooled to two columns: means .5 and 2.5; its unpadded part, 0 1 2: .5 and 1.5.
    assert head(ramp(), WHOLE, BOX, FIRST, 16).item() == pytest.approx(2 + 2.5)
    assert head(ramp(), torch.tensor([[3, 3]]), BOX, FIRST, 16).item() == pytest.approx(2 + 1.5)


@pytest.mark.parametrize("kind", ["context", "acrn"])
def test_padding_changes_nothing(kind: str) -> None:
    torch.manual_seed(0)
    acrn = AcrnHead(4, 2, size=3).eval()
    head = acrn if kind == "acrn" else LinearHead(4, 2, size=3, context=True).eval()
    small, cells = torch.randn(1, 4, 5, 6), torch.tensor([[5, 6]])
    padded = torch.randn(1, 4, 7, 9)
    padded[:, :, :5, :6] = small
    inside = torch.tensor([[20.0, 20, 70, 60]])  # no sample near the border
    with torch.no_grad():
        alone = head(small, cells, inside, FIRST, 16)
        together = head(padded, cells, inside, FIRST, 16)
    torch.testing.assert_close(alone, together)


def test_acrn_relates_the_actor_to_every_cell() -> None:
    head = AcrnHead(1, 1, size=2, sampling=1).eval()
    torch.nn.init.ones_(head.conv1[0].weight)  # actor + cell
    torch.nn.init.dirac_(head.conv2[0].weight)  # type: ignore[arg-type]
    torch.nn.init.ones_(head.projection.weight)
    torch.nn.init.zeros_(head.projection.bias)
    with torch.no_grad():
        got = head(ramp(), WHOLE, BOX, FIRST, 16).item()
        left = head(ramp(), torch.tensor([[3, 2]]), BOX, FIRST, 16).item()
    assert got == pytest.approx(2 + 3, rel=1e-4)  # maximum of the box + maximum of the map
    assert left == pytest.approx(2 + 1, rel=1e-4)  # columns 2 and 3 are padding


def test_each_box_reads_its_own_clip() -> None:
    head = summing(LinearHead(1, 1, size=2, sampling=1))
    maps = torch.cat([ramp(), ramp() + 10])
    index = torch.tensor([1, 0, 1])
    got = head(maps, WHOLE.expand(2, 2), BOX.expand(3, 4), index, 16)
    assert got.flatten().tolist() == [12, 2, 12]


@pytest.mark.parametrize("context", [True, False])
def test_dropout_works_in_training_only(context: bool) -> None:
    torch.manual_seed(0)
    head, maps = LinearHead(8, 3, dropout=0.5, context=context), torch.randn(1, 8, 3, 4)
    two = [head(maps, WHOLE, BOX, FIRST, 16) for _ in range(2)]
    assert not torch.equal(*two)
    head.eval()
    two = [head(maps, WHOLE, BOX, FIRST, 16) for _ in range(2)]
    assert torch.equal(*two)
