"""STMixer's short-term and long-term classifiers: initial state, attention, banks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from stadkit.errors import UsageError
from stadkit.models import stmixer, stmixer_t
from stadkit.models.classifiers import Bank, Classifier, Exchange, joint_queries, seconds_code
from stadkit.models.stmixer import StmixerConfig
from stadkit.models.stmixer_stage import Queries
from stadkit.models.stmixer_t import StmixerTConfig

TINY: dict[str, Any] = {
    "classes": 3,
    "backbone": "slowonly-tiny",
    "frames": 4,
    "queries": 5,
    "width": 16,
    "groups": 2,
    "points": 4,
    "out_points": 8,
    "stages": 2,
    "heads": 2,
    "feedforward": 24,
}
E = 32


def config(classifier: str, **changes: Any) -> StmixerConfig:
    return StmixerConfig(**{**TINY, "classifier": classifier, **changes})


def model(classifier: str, **changes: Any) -> stmixer.Stmixer:
    torch.manual_seed(0)
    return stmixer.build(config(classifier, **changes)).eval()


def with_random_output(classifier: str, **changes: Any) -> Classifier:
    """A classifier with random instead of zero last layers."""
    torch.manual_seed(0)
    made = Classifier(config(classifier, **changes)).eval()
    for part in made.modules():
        if isinstance(part, Exchange):
            for last in (part.out, part.ffn.layers[1]):
                torch.nn.init.normal_(last.weight, std=0.5)  # type: ignore[arg-type]
    return made


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def person_logits(clips: int = 2, queries: int = 5) -> Tensor:
    return torch.zeros(clips, queries, 2)


def bank(clips: int = 2, entries: int = 3, width: int = E) -> Bank:
    seconds = torch.arange(entries).float().expand(clips, -1) - 1
    return Bank(noise(clips, entries, width), seconds, torch.ones(clips, entries).bool())


def test_models_initialised_from_plain_weights_give_the_same_results() -> None:
    pixels, sizes = noise(2, 3, 4, 64, 64), torch.full((2, 2), 64)
    plain = model("plain")
    with torch.no_grad():
        wanted = plain(pixels, sizes)
        for name, depth in (("short", 1), ("long", 2)):
            other = model(name, classifier_depth=depth)
            left = other.load_state_dict(plain.state_dict(), strict=False)
            assert not left.unexpected_keys
            assert all(key.startswith("stm_head.classifier.") for key in left.missing_keys)
            assert left.missing_keys
            given = {"bank": bank()} if name == "long" else {}
            got = other(pixels, sizes, **given)
            for field in ("person", "box", "action", "query"):
                assert torch.equal(getattr(got, field), getattr(wanted, field)), (name, field)


def test_only_the_last_stage_uses_the_classifier() -> None:
    pixels, sizes = noise(2, 3, 4, 64, 64), torch.full((2, 2), 64)
    made = model("short")
    with torch.no_grad():
        before = made.details(pixels, sizes).stages
        made.stm_head.classifier = with_random_output("short")
        after = made.details(pixels, sizes).stages
    assert torch.equal(before[0].action, after[0].action)
    assert (before[1].action - after[1].action).abs().max() > 0.01
    assert torch.equal(before[1].person, after[1].person)
    assert torch.equal(before[1].xyzr, after[1].xyzr)


def test_attention_is_weighted_by_log_weight() -> None:
    # Values equal the inputs and all keys are equal, so attention is the weighted mean.
    made = Exchange(config("short", heads=1)).eval()
    with torch.no_grad():
        made.query.weight.zero_()
        made.key_value.weight.copy_(torch.cat([torch.zeros(E, E), torch.eye(E)]))
        made.key_value.bias.zero_()
        made.out.weight.copy_(torch.eye(E))
        others = torch.stack([torch.full((E,), 2.0), torch.full((E,), 10.0)])[None]
        got = made(torch.zeros(1, 1, E), torch.tensor([[0.75, 0.25]]).log(), others)
    torch.testing.assert_close(got, torch.full((1, 1, E), 0.75 * 2 + 0.25 * 10))


def test_background_queries_are_not_attended_to() -> None:
    made, x, person = with_random_output("short"), noise(1, 5, E), person_logits(1)
    person[0, 4] = torch.tensor([-30.0, 30.0])
    moved = x.clone()
    moved[0, 4] += noise(E)
    with torch.no_grad():
        first, second = made(x, person), made(moved, person)
        moved[0, 3] += noise(E)
        third = made(moved, person)
    torch.testing.assert_close(first[0, :4], second[0, :4])
    assert (third[0, :3] - first[0, :3]).abs().max() > 0.01


def test_person_scores_get_no_gradient_from_actions() -> None:
    person = person_logits().requires_grad_()
    x = noise(2, 5, E).requires_grad_()
    with_random_output("short")(x, person).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 0
    assert person.grad is None


@pytest.mark.parametrize("kind", ["none", "empty", "unknown"])
def test_an_empty_bank_changes_nothing(kind: str) -> None:
    made, x = with_random_output("long"), noise(2, 5, E)
    banks = {
        "none": None,
        "empty": bank(entries=0),
        # Padding may hold anything.
        "unknown": Bank(torch.full((2, 3, E), torch.nan), torch.zeros(2, 3), torch.zeros(2, 3) > 0),
    }
    short = with_random_output("short")
    short.load_state_dict({k: v for k, v in made.state_dict().items() if k.startswith("short.")})
    got = made(x, person_logits(), banks[kind])
    assert torch.equal(got, short(x, person_logits()))
    got.square().sum().backward()
    grads = [p.grad for p in made.parameters()]
    assert all(grad is not None and grad.isfinite().all() for grad in grads)  # all, for DDP


def test_an_empty_bank_does_not_affect_other_clips() -> None:
    made, x, known = with_random_output("long"), noise(2, 5, E), bank()
    half = replace(known, known=torch.tensor([[True] * 3, [False] * 3]))
    with torch.no_grad():
        full, none, got = (made(x, person_logits(), b) for b in (known, None, half))
    torch.testing.assert_close(got[0], full[0])
    torch.testing.assert_close(got[1], none[1])
    assert (full[1] - none[1]).abs().max() > 0.01


def test_padding_rows_and_entry_order_change_nothing() -> None:
    made, x, known = with_random_output("long"), noise(2, 5, E), bank()
    more = Bank(
        F.pad(known.entry, (0, 0, 0, 4), value=7.0),
        F.pad(known.seconds, (0, 4)),
        F.pad(known.known, (0, 4)),
    )
    turned = Bank(known.entry.flip(1), known.seconds.flip(1), known.known)
    with torch.no_grad():
        wanted = made(x, person_logits(), known)
        for other in (more, turned):
            torch.testing.assert_close(made(x, person_logits(), other), wanted)


def test_before_and_after_differ() -> None:
    made, x, known = with_random_output("long"), noise(2, 5, E), bank()
    with torch.no_grad():
        wanted = made(x, person_logits(), known)
        got = made(x, person_logits(), replace(known, seconds=-known.seconds))
    assert (got - wanted).abs().max() > 0.001


def test_time_codes_by_hand() -> None:
    # Two periods each: 2 pi s, and 10 times as long.
    code = seconds_code(torch.tensor([0.0, 1.0, -1.0]), 4)
    wanted = [[0, 0, 1, 1], [0.8415, 0.0998, 0.5403, 0.9950], [-0.8415, -0.0998, 0.5403, 0.9950]]
    torch.testing.assert_close(code, torch.tensor(wanted), atol=1e-4, rtol=0)


def test_a_class_visible_only_in_the_bank_is_learned() -> None:
    torch.manual_seed(0)
    made, head = Classifier(config("long", classifier_dropout=0.1)), torch.nn.Linear(E, 1)
    known = bank(clips=64, entries=6)
    # The label is visible only in one of the six entries, at another time.
    truth = noise(64, seed=3) > 0
    known.entry[truth, 2] = 2.0 * noise(E, seed=4)
    x = noise(1, 1, E).expand(64, 1, E)
    optimizer = torch.optim.AdamW([*made.parameters(), *head.parameters()], 3e-3)
    for _ in range(60):
        logit = head(made(x, person_logits(64, 1), known))[:, 0, 0]
        loss = F.binary_cross_entropy_with_logits(logit, truth.float())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    made.eval()
    with torch.no_grad():
        right = (head(made(x, person_logits(64, 1), known))[:, 0, 0] > 0) == truth
        blind = (head(made(x, person_logits(64, 1)))[:, 0, 0] > 0) == truth
    assert right.float().mean() > 0.95
    assert blind.float().mean() < 0.8


def test_clips_of_several_sizes_keep_their_own_banks() -> None:
    made = model("long")
    made.stm_head.classifier = with_random_output("long")
    pixels, known = noise(3, 3, 4, 64, 64), bank(clips=3)
    sizes = torch.tensor([[64, 64], [32, 64], [64, 64]])
    pixels[1, :, :, 32:] = 0
    with torch.no_grad():
        together = made(pixels, sizes, bank=known)
        for i in range(3):
            row = torch.tensor([i])
            alone = made(pixels[row], sizes[row], bank=known.clips(row))
            torch.testing.assert_close(together.action[i], alone.action[0], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(together.query[i], alone.query[0], atol=1e-4, rtol=1e-4)
    assert together.query.shape == (3, 5, E)


@pytest.mark.parametrize("classifier", ["plain", "short", "long"])
def test_classifiers_of_tubelet_models(classifier: str) -> None:
    torch.manual_seed(0)
    made = stmixer_t.build(StmixerTConfig(**{**TINY, "classifier": classifier})).eval()
    given = {"bank": bank()} if classifier == "long" else {}
    with torch.no_grad():
        out = made(noise(2, 3, 4, 64, 64), torch.full((2, 2), 64), **given)
    assert out.action.shape == (2, 5, 3)
    assert out.box.shape == (2, 5, 4, 4)
    assert out.present is not None
    assert out.query is not None
    assert out.query.shape == (2, 5, E)
    assert any("classifier" in name for name in made.state_dict()) == (classifier != "plain")


def test_a_tubelet_s_spatial_queries_are_averaged() -> None:
    spatial = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])  # one query, two frames
    got = joint_queries(Queries(torch.zeros(1, 1, 2, 4), spatial, torch.tensor([[[5.0, 7.0]]])))
    assert got.tolist() == [[[2.0, 4.0, 5.0, 7.0]]]


@pytest.mark.parametrize("classifier", ["plain", "short"])
def test_a_bank_for_a_model_without_bank_reader(classifier: str) -> None:
    with pytest.raises(UsageError, match=f"classifier: {classifier} reads no bank"):
        model(classifier)(noise(2, 3, 4, 64, 64), torch.full((2, 2), 64), bank=bank())


def test_wrong_banks() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 3, 8\), wants \[2, M, 32\]"):
        with_random_output("long")(noise(2, 5, E), person_logits(), bank(width=8))
    with pytest.raises(ValueError, match=r"wants \[2, M, 32\]"):
        with_random_output("long")(noise(2, 5, E), person_logits(), bank(clips=1))
    with pytest.raises(ValueError, match=r"Bank.known has shape \(2, 2\)"):
        Bank(torch.zeros(2, 3, E), torch.zeros(2, 3), torch.zeros(2, 2).bool())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"classifier": "medium"}, "StmixerConfig.classifier is 'medium'; choose one of plain"),
        ({"classifier_depth": 0}, "classifier_depth is 0; it must be a whole number above 0"),
        ({"classifier_dropout": 1.0}, "dropout is 1.0; it must be at least 0 and below 1"),
    ],
)
def test_wrong_settings(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        StmixerConfig(**{**TINY, **wrong})
