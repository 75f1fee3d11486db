"""What must be in order for stadkit to work; each fault with what to do about it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from stadkit.console import one_line
from stadkit.doctor.facts import BROKEN, NEEDED, existing
from stadkit.errors import StadkitError, WeightsError

LEAST = 500e6  # bytes free: results and temporary files of a few videos
FIRST = "mend the packages first, as told above"
# What packages are called in Python, where that is something else.
MODULES = {"opencv-python": "cv2", "huggingface-hub": "huggingface_hub"}
AGAIN = "install stadkit again: `pip install --force-reinstall stadkit`"


@dataclass(frozen=True)
class Check:
    """Something that is in order, or what is wrong (`told`) and what to do (`do`)."""

    name: str
    ok: bool
    told: str
    do: str = ""


def check(facts: Mapping[str, Mapping[str, Any]]) -> list[Check]:
    """All checks of a machine with these facts; what costs time is not among them."""
    return [
        _packages(facts["versions"]),  # first: the others need them
        _of(facts["video"], "video", _video),
        _of(facts["machine"], "gpu", _gpu),
        *_guarded("weights", lambda: iter([_built_in()])),
        *_guarded("folders", _folders),
    ]


def _of(topic: Mapping[str, Any], name: str, look: Callable[[Mapping[str, Any]], Check]) -> Check:
    """The check of a topic, or why there is nothing to check."""
    return Check(name, False, topic[BROKEN], FIRST) if BROKEN in topic else look(topic)


def _guarded(name: str, look: Callable[[], Iterator[Check]]) -> list[Check]:
    """The checks that an installation can still make."""
    try:
        return list(look())
    except (ImportError, OSError) as error:
        return [Check(name, False, one_line(error), FIRST)]


def _packages(versions: Mapping[str, str | None]) -> Check:
    lacking = [name for name in NEEDED if versions.get(name) is None]
    if lacking:
        return Check("packages", False, f"not installed: {', '.join(lacking)}", AGAIN)
    broken = {name: why for name in NEEDED if (why := _fault(MODULES.get(name, name)))}
    if broken:
        told = "; ".join(f"{name} cannot be loaded ({why})" for name, why in broken.items())
        do = f"install again: `pip install --force-reinstall {' '.join(broken)}`"
        return Check("packages", False, told, do)
    return Check("packages", True, "all that are needed")


def _fault(module: str) -> str:
    """Why a module cannot be loaded; empty where it can."""
    try:
        import_module(module)
    except Exception as error:  # whatever a package of another build raises: it is broken
        return one_line(error) or type(error).__name__
    return ""


def _video(video: Mapping[str, Any]) -> Check:
    lacking = [name for name in ("h264", "vp9") if name not in video["reads"]]
    if not video["h264 writing"]:
        lacking.append("writing h264")
    if lacking:
        told = f"this PyAV lacks {', '.join(lacking)}"
        return Check("video", False, told, "install PyAV's own wheel: `pip install av`")
    return Check("video", True, f"reads {video['reads']}; writes h264")


def _gpu(machine: Mapping[str, Any]) -> Check:
    complaint = machine["cuda complains"]
    if complaint:
        do = "update the GPU's driver, or install a torch that fits it; the CPU is used until then"
        return Check("gpu", False, complaint, do)
    return Check("gpu", True, machine["gpu"] or f"none that is usable; {machine['auto device']}")


def _built_in() -> Check:
    from stadkit.zoo import card
    from stadkit.zoo.weights import find_weights, verify

    name = "mestad-nano"
    try:
        digest = verify(find_weights(name), card(name).sha256)
    except (WeightsError, OSError) as error:
        return Check("weights", False, one_line(error), AGAIN)
    return Check("weights", True, f"{name} is whole (sha256 {digest[:12]}...)")


def _folders() -> Iterator[Check]:
    from stadkit.zoo.weights import home

    try:
        yield _folder("cache", home(), "set STADKIT_HOME to a folder that you may write to")
    except WeightsError as error:
        yield Check("cache", False, "there is no folder for weights", str(error))
    yield _folder("temporary files", Path(tempfile.gettempdir()), "set TMPDIR to another folder")


def _folder(name: str, folder: Path, do: str) -> Check:
    """Whether there is room in a folder, and leave to write; tried where the folder exists."""
    there = existing(folder)
    try:
        if not there.is_dir():
            raise StadkitError(f"{there} is a file")
        if there == folder:
            with tempfile.TemporaryFile(dir=there) as file:
                file.write(b"x")
        elif not os.access(there, os.W_OK | os.X_OK):
            raise StadkitError(f"{there} cannot be written to")
    except (StadkitError, OSError) as error:
        return Check(name, False, f"{folder}: {one_line(error)}", do)
    room = shutil.disk_usage(there).free
    if room < LEAST:
        return Check(name, False, f"{folder}: {room / 1e6:.0f} MB free", f"free some, or {do}")
    return Check(name, True, f"{folder}: {room / 1e9:.1f} GB free")
