"""The built-in model's card: its classes, who taught each, and how its clips are cut."""

from __future__ import annotations

from stadkit.labels import Labels
from stadkit.synth.classes import CLASSES as RENDERED
from stadkit.zoo.two_stage_fields import Fields

# J-HMDB's actions, real people: a clip has one of them.
REAL = (
    *("brush hair", "catch", "clap", "climb stairs", "golf", "jump", "kick ball", "pick up"),
    *("pour", "pull up", "push", "run", "shoot ball", "shoot bow", "shoot gun", "sit down"),
    *("stand up", "swing baseball", "throw", "walk", "wave"),
)
NAMES = (*REAL, *(name for name in RENDERED if name not in REAL))
SOURCES = tuple(tuple(NAMES.index(name) for name in source) for source in (REAL, RENDERED))


def taught_by(name: str) -> str:
    """Who taught the built-in model a class: real people, rendered people, or both."""
    both = (("real", REAL), ("rendered", RENDERED))
    return " and ".join(people for people, names in both if name in names) + " people"


NANO: Fields = {
    "family": "mestad",
    "settings": {
        "backbone": "nanodet",
        "people": "nanodet",
        "classes": len(NAMES),
        "pyramid": "res3-5",
        "head": "frames",
        "sources": SOURCES,
        "exclusive": (True, False),
        "person_score": "cls",
        "action_score": "geometric",
        "max_people": 40,
        "min_score": 0.05,
        "max_iou": 0.5,
    },
    "classes": Labels(tuple(range(1, len(NAMES) + 1)), NAMES),
    "frames": 8,
    "stride": 4.8,
    "key": 4,
    "short_side": 288,
    "mean": (123.675, 116.28, 103.53),  # NanoDet's
    "std": (58.395, 57.12, 57.375),
    "min_person": 0.48,
    # On films kept back from its training, people scored .75: from .3 on 98 of 100 people have an
    # action, 1.6 each and half of these right; from .4 on .8 each and 7 of 10 right, the best F1.
    "min_action": 0.3,
    "min_drawn": 0.4,
    "batch": 8,
    "multiple": 32,
    "exact": True,
    "sha256": "78db98e873a769bf29f88cddef8edf62297844cd6b124289ed41aad528f4b843",
    # At IoU .5 on J-HMDB's test clips, split 1: docs/jhmdb.md.
    "class_ap": {
        "brush hair": 0.624,
        "catch": 0.460,
        "clap": 0.695,
        "climb stairs": 0.931,
        "golf": 0.974,
        "jump": 0.220,
        "kick ball": 0.659,
        "pick up": 0.628,
        "pour": 0.831,
        "pull up": 0.993,
        "push": 0.987,
        "run": 0.359,
        "shoot ball": 0.674,
        "shoot bow": 0.974,
        "shoot gun": 0.528,
        "sit down": 0.559,
        "stand up": 0.763,
        "swing baseball": 0.421,
        "throw": 0.326,
        "walk": 0.713,
        "wave": 0.479,
    },
    "taught": {name: taught_by(name) for name in NAMES},
    "licence": "Apache-2.0",
    "note": "Built in. AP: on J-HMDB's test clips, see weights/README.md.",
}
