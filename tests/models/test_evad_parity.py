"""EVAD against reference tensors of the authors' code, in float64, with synthetic weights."""

import json
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stadkit.models.evad import Evad, EvadConfig, build, extend
from stadkit.models.evad_loss import EvadLossConfig, evad_loss
from stadkit.models.targets import Targets
from stadkit.zoo.cards import CARDS
from stadkit.zoo.dialects.official import our_name, to_ours

DATA = Path(__file__).parents[1] / "data" / "evad"
pytestmark = pytest.mark.slow

# Standard deviations are these gains (default 1) over sqrt(fan-in).
GAINS = {
    ".attn.qkv.weight": 2.0,
    ".attn.proj.weight": 0.5,
    ".mlp.fc2.weight": 0.5,
    ".bboxes_delta.weight": 0.15,
    ".action_logits.weight": 1.5,
    ".class_logits.weight": 1.5,
    "encoder_to_decoder.weight": 3.0,
}


def made_up(key: str, shape: tuple[int, ...]) -> Tensor:
    """The value of this official parameter name in the reference run."""
    if key == "criterion.empty_weight":
        return torch.tensor([1.0, 0.1])
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(key.encode())))
    if key == "init_proposal_boxes.weight":
        return noise * 0.2 + torch.tensor([0.5, 0.5, 1.0, 1.0])
    if key == "init_proposal_features.weight":
        return noise
    if key == "det_head.mask_token":
        return noise * 0.5
    if len(shape) == 1:
        return noise * 0.02 + float(key.endswith(".weight"))
    gain = next((g for suffix, g in GAINS.items() if key.endswith(suffix)), 1.0)
    return noise * gain / math.sqrt(math.prod(shape[1:]))


def filled(model: str, shapes: str, **changes: Any) -> Evad:
    """A model with the reference's weights, in float64."""
    held = json.loads((DATA / f"params_{shapes}.json").read_text())
    state = to_ours({key: made_up(key, tuple(shape)) for key, shape in held.items()})
    with torch.device("meta"):
        detector = build(EvadConfig(**{**CARDS[model].settings, **changes}))
    detector.load_state_dict(state, strict=True, assign=True)
    return detector.double().eval()


def made_clip(height: int, width: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(3, 16, height, width, generator=random).double()


CASES = [
    ("evad-vit-b-full", "ViT_B_16x4_KTP", "ViT_B_16x4", 224, 224),
    ("evad-vit-b", "ViT_B_16x4_KTP", "ViT_B_16x4_KTP", 224, 224),
    ("evad-vit-b", "ViT_B_16x4_KTP", "ViT_B_16x4_KTP", 256, 320),
    ("evad-vit-l", "ViT_L_16x4_KTP", "ViT_L_16x4_KTP", 224, 224),
]


@pytest.mark.parametrize(("name", "shapes", "case", "height", "width"), CASES)
def test_outputs_equal_the_reference(
    name: str, shapes: str, case: str, height: int, width: int
) -> None:
    reference = np.load(DATA / f"ref_{case}_{height}x{width}_f64.npz")
    model, sizes = filled(name, shapes), torch.tensor([[height, width]])
    with torch.inference_mode():
        pixels = made_clip(height, width)[None]
        found = model.details(pixels, sizes)
        lean = model(pixels, sizes)
        restored = model.restore(found.tokens)[1]
    pruned = sorted(int(k.removeprefix("kept_after_block")) for k in reference if "kept" in k)
    assert len(found.tokens.stages) == len(pruned)
    for block, kept in zip(pruned, found.tokens.stages, strict=True):
        assert kept[0].tolist() == reference[f"kept_after_block{block}"].tolist()
    box = found.people.box[-1][0]
    close = {
        "person_logits": found.people.logit[-1][0],
        "boxes": box,
        "action_logits": found.action[-1][0],
        "head_boxes": found.people.box[:, 0],
        "head_logits": found.people.logit[:, 0],
        "ext_boxes": extend(box[None], sizes, model.config.roi_extension)[0],
        "restored_stats": stats(restored.permute(0, 4, 1, 2, 3)),
    }
    for key, got in close.items():
        # The reference keeps boxes, up to hundreds of pixels, in float32.
        limit = 1e-4 if "boxes" in key else 1e-5
        np.testing.assert_allclose(got.numpy(), reference[key], rtol=1e-5, atol=limit, err_msg=key)
    np.testing.assert_allclose(lean.action[0].numpy(), reference["action_logits"], atol=1e-5)
    fraction = box / torch.tensor([width, height, width, height])
    np.testing.assert_allclose(lean.box[0, :, 0].numpy(), fraction.numpy(), atol=1e-9)


def stats(x: Tensor) -> Tensor:
    return torch.stack([x.mean(), x.std(), x.abs().max(), x.norm()])


def test_losses_and_gradients_equal_the_reference() -> None:
    reference = json.loads((DATA / "train_ref_ViT_B_16x4_KTP_EW.json").read_text())
    model = filled("evad-vit-b-keep06", "ViT_B_16x4_KTP")
    sizes = torch.tensor([[224, 224]] * 2)
    targets = []
    for boxes, labels in zip(reference["gt_boxes_px"], reference["gt_actions_0based"], strict=True):
        action = torch.zeros(len(boxes), 80).double()
        for row, columns in enumerate(labels):
            action[row, columns] = 1
        targets.append(Targets(torch.tensor(boxes).double(), action))
    pixels = torch.stack([made_clip(224, 224, 0), made_clip(224, 224, 1)])
    terms = evad_loss(model.details(pixels, sizes), sizes, targets, EvadLossConfig())
    assert set(terms) == set(reference["f64"])
    for name, wanted in reference["f64"].items():
        assert terms[name].item() == pytest.approx(wanted, abs=1e-5), name
    total = torch.stack(list(terms.values())).sum() / reference["num_terms"]
    total.backward()  # type: ignore[no-untyped-call]
    own = dict(model.named_parameters())
    assert all(p.grad is not None for p in own.values())
    for official, norm in reference["gradnorm_f64"].items():
        got = own[our_name(official)].grad
        assert got is not None
        assert got.norm().item() == pytest.approx(norm, rel=1e-4, abs=1e-6), official
