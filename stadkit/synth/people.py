"""People as figures: the parts of a body and its clothes."""

from __future__ import annotations

from collections.abc import Iterator

from stadkit.synth.draws import Floats
from stadkit.synth.face import BOTTOM, EXTRA, GADGET, HAIR, SHOE, SKIN, TOP, Face, Look
from stadkit.synth.figure import Figure, Part
from stadkit.synth.skeleton import (
    ANKLE,
    BACK,
    BAG,
    BELLY,
    CHEST,
    CROWN,
    ELBOW,
    HAND,
    HEAD,
    HEM,
    HIP_JOINT,
    KNEE_JOINT,
    NECK,
    PELVIS,
    SHOULDER,
    THIGH,
    TOE,
    WRIST,
    Build,
)
from stadkit.synth.skeleton import HAIR as HAIR_END


def person(world: Floats, build: Build, look: Look, phone: int = -1, number: int = 0) -> Figure:
    """A figure for the points [T, 31, 3]; `phone`: the side that holds a phone, -1 for none."""
    size = build.scale
    parts = [_scaled(part, size) for part in _parts(build, look, phone)]
    head = Part((HEAD, CROWN), (build.head * 0.98 * size, build.head * 0.9 * size), HAIR, -0.02)
    parts.append(head)
    return Figure(
        world=world,
        parts=tuple(parts),
        materials=look.materials,
        contrast=look.contrast,
        axis=(PELVIS, NECK),
        face=Face(look, build.head * size).draw,
        face_after=len(parts) - 1,
        number=number,
    )


def _scaled(part: Part, size: float) -> Part:
    return Part(part.points, tuple(r * size for r in part.radii), part.material, part.bias * size)


def _parts(build: Build, look: Look, phone: int) -> Iterator[Part]:
    yield from _trunk(build, look)
    for side in (0, 1):
        yield from _leg(build, look, side)
        yield from _arm(build, look, side)
    yield from _hair(build, look)
    yield from _carried(look, phone)


def _trunk(build: Build, look: Look) -> Iterator[Part]:
    g, loose = build.girth, min(look.loose, 1.2)
    shoulder, hip = 0.043 * loose, 0.055 * g * loose
    yield Part(
        (*SHOULDER, CHEST, BELLY, *HIP_JOINT),
        (shoulder, shoulder, 0.072 * g * loose, 0.07 * g * loose, hip, hip),
        TOP,
        0.03,
    )
    yield Part(HIP_JOINT, (0.06 * g * loose,) * 2, TOP if look.coat else BOTTOM, 0.028)
    yield Part((NECK, HEAD), (0.032 * g**0.5, 0.03), SKIN, 0.005)
    flare = 0.05 * g * look.loose
    if look.skirt == "short":
        yield Part((*HIP_JOINT, *THIGH), (hip, hip, flare * 1.2, flare * 1.2), BOTTOM, -0.02)
    elif look.skirt == "long":
        yield Part((*HIP_JOINT, *HEM), (hip, hip, flare * 1.3, flare * 1.3), BOTTOM, -0.03)
    if look.coat:
        yield Part((*HIP_JOINT, *THIGH), (hip * 1.15, hip * 1.15, flare, flare), TOP, -0.03)


def _leg(build: Build, look: Look, side: int) -> Iterator[Part]:
    g = build.girth
    wide = look.loose * (1.35 if look.legs == "wide" else 1.0)
    covered = look.legs in ("trousers", "wide")
    upper, lower = (BOTTOM if look.legs != "bare" else SKIN), (BOTTOM if covered else SKIN)
    loose = wide if look.legs != "bare" else 1.0
    hip, knee, ankle = HIP_JOINT[side], KNEE_JOINT[side], ANKLE[side]
    yield Part((hip, knee), (0.052 * g * loose, 0.04 * g * loose), upper)
    loose = wide if covered else 0.95
    yield Part((knee, ankle), (0.039 * g * loose, 0.027 * loose), lower)
    yield Part((ankle, TOE[side]), (0.029, 0.022), SHOE)


def _arm(build: Build, look: Look, side: int) -> Iterator[Part]:
    g = build.girth**0.7
    shoulder, elbow, wrist, hand = SHOULDER[side], ELBOW[side], WRIST[side], HAND[side]
    upper = TOP if look.sleeves != "none" else SKIN
    loose = look.loose if upper == TOP else 1.0
    yield Part((shoulder, elbow), (0.036 * g * loose, 0.028 * g * loose), upper)
    lower = TOP if look.sleeves == "long" else SKIN
    loose = look.loose if lower == TOP else 0.95
    yield Part((elbow, wrist), (0.027 * g * loose, 0.021 * loose), lower, -0.005)
    yield Part((wrist, hand), (0.02, 0.02), SKIN, -0.008)


def _hair(build: Build, look: Look) -> Iterator[Part]:
    if look.hood:
        yield Part((HEAD, NECK), (build.head * 1.3, 0.06), TOP, 0.01)
    elif look.hair == "long":
        yield Part((HEAD, HAIR_END), (build.head * 1.05, build.head * 0.8), HAIR, 0.012)
    elif look.hair == "full":
        yield Part((HEAD, CROWN), (build.head * 1.2, build.head * 1.25), HAIR, 0.01)


def _carried(look: Look, phone: int) -> Iterator[Part]:
    if look.bag == "backpack":
        yield Part((BACK, BACK), (0.085, 0.085), EXTRA)
    elif look.bag == "hand":
        yield Part((BAG, HAND[1]), (0.06, 0.012), EXTRA, 0.005)
    if phone >= 0:
        yield Part((HAND[phone], WRIST[phone]), (0.024, 0.006), GADGET, -0.02)
