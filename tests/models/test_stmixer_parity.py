"""STMixer-K against reference tensors of the authors' code, in float32, synthetic weights."""

import json
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stadkit.models import person_selection
from stadkit.models.sampling import to_corners
from stadkit.models.stmixer import Stmixer, StmixerConfig, build
from stadkit.models.stmixer_loss import stmixer_loss
from stadkit.models.targets import Targets

DATA = Path(__file__).parents[1] / "data" / "stmixer"
pytestmark = pytest.mark.slow

CONFIGS: dict[str, dict[str, Any]] = {
    "slowonly_r50": {"backbone": "slowonly-r50", "frames": 4},
    "slowfast_r50": {"backbone": "slowfast-r50", "frames": 32},
    "slowfast_r101nl": {"backbone": "slowfast-r101-nl", "frames": 32},
    "vmae_vitb": {"backbone": "vit-b", "frames": 16},
}
# (height, width) of the padded clip, then before padding.
CASES = {"sq": ((256, 256), (256, 256)), "rect": ((224, 320), (220, 309))}
# Standard deviations are these gains (default 1) over sqrt(fan-in); later matches win.
GAINS = {
    "_nonlocal": {"conv_theta": 0.03, "conv_phi": 0.03, "conv_g": 0.3, "conv_out": 0.1},
    "end": {
        "fc_reg.weight": 0.35,
        "human_fc_cls.weight": 2.0,
        ".attn.out_proj.weight": 0.3,
        "fc_action.weight": 2.0,
        "offset_generator.0.weight": 0.3,
        "branch2.c.weight": 0.7,
    },
}


def made_up(key: str, shape: tuple[int, ...]) -> Tensor:
    """The value of this parameter in the reference run."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(key.encode())))
    start = {
        "running_var": 1 + 0.1 * noise.abs(),
        "running_mean": 0.02 * noise,
        "iof_tau": 1 + 0.5 * noise.abs(),
        "offset_generator.0.bias": 0.3 * noise,
        "_queries.weight": noise,
    }
    known = [value for end, value in start.items() if key.endswith(end)]
    if known:
        return known[0]
    if key.endswith("fc_reg.bias"):
        return torch.tensor([0.0, 0.0, -0.6, 0.25]) + 0.02 * noise
    if noise.ndim == 1:
        return 0.02 * noise + float(key.endswith("weight"))
    return noise * gain(key, len(shape)) / math.sqrt(math.prod(shape[1:]))


def gain(key: str, dimensions: int) -> float:
    """The gain of a reference weight's standard deviation."""
    if "_nonlocal" in key and dimensions == 5:
        return next(g for part, g in GAINS["_nonlocal"].items() if part in key)
    if (own := next((g for end, g in GAINS["end"].items() if key.endswith(end)), None)) is not None:
        return own
    return 1.4 if key.startswith("backbone.s") and dimensions == 5 else 1.0


def filled(name: str, **changes: Any) -> Stmixer:
    """A model with the reference's weights."""
    with torch.device("meta"):
        model = build(StmixerConfig(**CONFIGS[name], **changes))
    state = {key: made_up(key, tuple(x.shape)) for key, x in model.state_dict().items()}
    model.load_state_dict(state, strict=True, assign=True)
    return model.eval()


def made_clip(frames: int, padded: tuple[int, int], sizes: list[tuple[int, int]]) -> Tensor:
    """Noise at two scales, zero in the padding."""
    random, (height, width) = torch.Generator().manual_seed(0), padded
    count = len(sizes)
    coarse = torch.randn(count, 3, frames, height // 32, width // 32, generator=random)
    fine = torch.randn(count, 3, frames, height, width, generator=random)
    clip = fine * 0.5 + coarse.repeat_interleave(32, 3).repeat_interleave(32, 4)
    for one, (high, wide) in zip(clip, sizes, strict=True):
        one[..., high:, :] = 0
        one[..., wide:] = 0
    return clip


@pytest.mark.parametrize("name", CONFIGS)
def test_names_and_shapes_are_those_of_released_weights(name: str) -> None:
    with torch.device("meta"):
        model = build(StmixerConfig(**CONFIGS[name]))
    wanted = json.loads((DATA / f"params_{name}.json").read_text())
    del wanted["stm_head.criterion.empty_weight"]
    assert {key: list(x.shape) for key, x in model.state_dict().items()} == wanted


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", [n for n in CONFIGS if n != "slowfast_r101nl"])
def test_outputs_equal_the_reference(name: str, case: str) -> None:
    reference = np.load(DATA / f"ref_{name}.npz")
    (height, width), size = CASES[case]
    model, sizes = filled(name), torch.tensor([size])
    pixels = made_clip(model.frames, (height, width), [size])
    with torch.inference_mode():
        space = model.space(pixels)
        stages = model.details(pixels, sizes).stages
        outputs = model(pixels, sizes)
    for level, x in enumerate(space):
        assert tuple(x.shape) == tuple(reference[f"{case}_space_shape"][level])
        mean = x.mean((0, 2, 3, 4))[:64].numpy()
        np.testing.assert_allclose(mean, reference[f"{case}_space{level}_chmean"], atol=1e-4)
    close = {
        "stage_xyzr": (
            torch.stack([s.xyzr[0] for s in stages]),
            reference[f"{case}_stage_xyzr"][1:],
        ),
        "stage_person_logits": torch.stack([s.person[0] for s in stages]),
        "boxes_px": to_corners(stages[-1].xyzr[0]),
        "person_logits": stages[-1].person[0],
        "action_logits": stages[-1].action[0],
    }
    for key, got in close.items():
        value, wanted = got if isinstance(got, tuple) else (got, reference[f"{case}_{key}"])
        limit = 1e-2 if key == "boxes_px" else 3e-3
        np.testing.assert_allclose(value.numpy(), wanted, atol=limit, rtol=1e-4, err_msg=key)
    fraction = to_corners(stages[-1].xyzr) / person_selection.frame(sizes)
    torch.testing.assert_close(outputs.box[:, :, 0], fraction)
    torch.testing.assert_close(outputs.action, stages[-1].action)


@pytest.mark.parametrize("name", ["slowonly_r50", "vmae_vitb"])
def test_losses_matches_and_gradients_equal_the_reference(name: str) -> None:
    reference = json.loads((DATA / f"loss_{name}.json").read_text())
    case, truth = reference["case"], reference["gt"]
    sizes = [(h, w) for w, h in case["wh"]]
    model = filled(name, padding="shared")
    pixels = made_clip(model.frames, (case["H"], case["W"]), sizes)
    targets = []
    for boxes, labels in truth.values():
        action = torch.zeros(len(boxes), 80)
        for row, columns in enumerate(labels):
            action[row, columns] = 1
        targets.append(Targets(torch.tensor(boxes), action))
    terms = stmixer_loss(model.details(pixels, torch.tensor(sizes)), torch.tensor(sizes), targets)
    mean = reference["weighted_losses"].pop("total_loss(mean of all terms)")
    assert set(terms) == set(reference["weighted_losses"])
    for term, wanted in reference["weighted_losses"].items():
        assert terms[term].item() == pytest.approx(wanted, abs=1e-4), term
    total = torch.stack(list(terms.values())).mean()
    assert total.item() == pytest.approx(mean, abs=1e-4)
    total.backward()  # type: ignore[no-untyped-call]
    own = dict(model.named_parameters())
    assert set(reference["grad_norm"]) <= set(own)
    for key, norm in reference["grad_norm"].items():
        gradient = own[key].grad
        assert gradient is not None
        assert gradient.norm().item() == pytest.approx(norm, rel=2e-2, abs=1e-5), key
