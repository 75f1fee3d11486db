"""`stadkit doctor`: what this machine has, for people and for bug reports."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

PACKAGES = (
    "stadkit",
    "torch",
    "av",
    "opencv-python",
    "numpy",
    "pandas",
    "scipy",
    "safetensors",
    "typer",
    "decord",
)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Say what this machine has: versions, devices, decoders, weights, space."""
    facts = examine()
    if as_json:
        typer.echo(json.dumps(facts))
        return
    for topic, held in facts.items():
        typer.echo(topic)
        for name, value in held.items():
            typer.echo(f"  {name:<16} {value}")


def examine() -> dict[str, dict[str, Any]]:
    """Facts by topic, all of them JSON."""
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": _machine(),
        "video": _video(),
        "weights": _weights(),
        "folders": _folders(),
    }


def _versions() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _machine() -> dict[str, Any]:
    import torch

    from stadkit.detect import pick_device, pick_precision

    device = pick_device("auto")
    cuda = torch.cuda.is_available()
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "torch threads": torch.get_num_threads(),
        "cuda": torch.version.cuda if cuda else None,
        "gpu": torch.cuda.get_device_name() if cuda else None,
        "auto device": str(device),
        "auto precision": str(pick_precision("auto", device)).removeprefix("torch."),
    }


def _video() -> dict[str, Any]:
    import av

    libraries = {name: ".".join(map(str, v)) for name, v in av.library_versions.items()}
    return {
        "pyav": "ok",
        "libavcodec": libraries.get("libavcodec"),
        "h264 writing": "libx264" in av.codecs_available,
        "decord": _decord(),
    }


def _decord() -> str:
    try:
        import decord
    except ImportError:
        return "not installed; only `--reader decord` needs it"
    except OSError as error:
        return f"cannot be loaded ({error})"
    return f"ok ({decord.__version__})"


def _weights() -> dict[str, str]:
    from stadkit.zoo import CARDS, state

    return {name: state(name) for name in CARDS}


def _folders() -> dict[str, Any]:
    from stadkit.zoo.weights import home

    there = next(path for path in (home(), *home().parents) if path.exists())
    return {
        "stadkit": str(Path(__file__).parents[1]),
        "python": sys.prefix,
        "STADKIT_HOME": str(home()),
        "writable": os.access(there, os.W_OK),
        "free": f"{shutil.disk_usage(there).free / 1e9:.1f} GB",
    }
