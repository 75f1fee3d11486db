"""The checks of `stadkit doctor`; each fault comes with a fix."""

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

MIN_FREE_BYTES = 500e6  # for results and temporary files of a few videos
FIX_PACKAGES_FIRST = "fix the packages first, as described above"
# Import names, where they differ from the package name.
MODULES = {"opencv-python": "cv2", "huggingface-hub": "huggingface_hub"}
REINSTALL = "reinstall stadkit: `pip install --force-reinstall stadkit`"


@dataclass(frozen=True)
class Check:
    """A passed check, or a fault (`told`) and its fix (`do`). The fields are JSON keys."""

    name: str
    ok: bool
    told: str
    do: str = ""


def check(facts: Mapping[str, Mapping[str, Any]]) -> list[Check]:
    """Run all fast checks on a machine with these facts."""
    return [
        _packages(facts["versions"]),  # first: the others need the packages
        _unless_broken(facts["video"], "video", _video),
        _unless_broken(facts["machine"], "gpu", _gpu),
        *_guarded("weights", lambda: iter([_built_in()])),
        *_guarded("folders", _folders),
    ]


def _unless_broken(
    topic: Mapping[str, Any], name: str, run: Callable[[Mapping[str, Any]], Check]
) -> Check:
    """Run the check of a topic, or report why its facts are unavailable."""
    return Check(name, False, topic[BROKEN], FIX_PACKAGES_FIRST) if BROKEN in topic else run(topic)


def _guarded(name: str, run: Callable[[], Iterator[Check]]) -> list[Check]:
    """Run checks; a package that fails to load is reported as a fault."""
    try:
        return list(run())
    except (ImportError, OSError) as error:
        return [Check(name, False, one_line(error), FIX_PACKAGES_FIRST)]


def _packages(versions: Mapping[str, str | None]) -> Check:
    missing = [name for name in NEEDED if versions.get(name) is None]
    if missing:
        return Check("packages", False, f"not installed: {', '.join(missing)}", REINSTALL)
    broken = {name: why for name in NEEDED if (why := _import_error(MODULES.get(name, name)))}
    if broken:
        fault = "; ".join(f"{name} cannot be loaded ({why})" for name, why in broken.items())
        fix = f"reinstall: `pip install --force-reinstall {' '.join(broken)}`"
        return Check("packages", False, fault, fix)
    return Check("packages", True, "all required packages load")


def _import_error(module: str) -> str:
    """Why a module cannot be imported; empty if it can."""
    try:
        import_module(module)
    except Exception as error:  # a package from another build can raise anything
        return one_line(error) or type(error).__name__
    return ""


def _video(video: Mapping[str, Any]) -> Check:
    missing = [f"reading {name}" for name in ("h264", "vp9") if name not in video["reads"]]
    if not video["h264 writing"]:
        missing.append("writing h264")
    if missing:
        fault = f"this PyAV lacks {', '.join(missing)}"
        return Check("video", False, fault, "install PyAV's own wheel: `pip install av`")
    return Check("video", True, f"reads {video['reads']}; writes h264")


def _gpu(machine: Mapping[str, Any]) -> Check:
    fault = machine["cuda error"]
    if fault:
        fix = "update the GPU driver or install a matching torch; until then the CPU is used"
        return Check("gpu", False, fault, fix)
    return Check("gpu", True, machine["gpu"] or f"no usable GPU; using {machine['auto device']}")


def _built_in() -> Check:
    from stadkit.zoo import card
    from stadkit.zoo.weights import find_weights, verify

    name = "mestad-nano"
    try:
        digest = verify(find_weights(name), card(name).sha256)
    except (WeightsError, OSError) as error:
        return Check("weights", False, one_line(error), REINSTALL)
    return Check("weights", True, f"{name} is intact (sha256 {digest[:12]}...)")


def _folders() -> Iterator[Check]:
    from stadkit.zoo.weights import home

    try:
        yield _folder("cache", home(), "set STADKIT_HOME to a writable folder")
    except WeightsError as error:
        yield Check("cache", False, "no folder for weights", str(error))
    yield _folder("temporary files", Path(tempfile.gettempdir()), "set TMPDIR to another folder")


def _folder(name: str, folder: Path, fix: str) -> Check:
    """Check that a folder is writable and has space; if it does not exist, check its parent."""
    parent = existing(folder)
    try:
        if not parent.is_dir():
            raise StadkitError(f"{parent} is a file")
        if parent == folder:
            with tempfile.TemporaryFile(dir=parent) as file:
                file.write(b"x")
        elif not os.access(parent, os.W_OK | os.X_OK):
            raise StadkitError(f"{parent} is not writable")
    except (StadkitError, OSError) as error:
        return Check(name, False, f"{folder}: {one_line(error)}", fix)
    free = shutil.disk_usage(parent).free
    if free < MIN_FREE_BYTES:
        return Check(name, False, f"{folder}: {free / 1e6:.0f} MB free", f"free some, or {fix}")
    return Check(name, True, f"{folder}: {free / 1e9:.1f} GB free")
