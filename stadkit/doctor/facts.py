"""Facts about this machine for `stadkit doctor`, by topic, as JSON values."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from stadkit.console import one_line
from stadkit.errors import WeightsError

BROKEN = "broken"  # key of the reason why a topic has no facts
NEEDED = (
    *("stadkit", "torch", "av", "opencv-python", "numpy", "pandas", "scipy"),
    *("safetensors", "typer", "rich", "pydantic", "huggingface-hub"),
)
OPTIONAL = ("decord", "ray", "onnx", "onnxruntime", "gdown")
CPU_FEATURES = ("amx_bf16", "amx_fp16", "avx512_bf16", "avx512_fp16", "avx512_f", "avx2")


def examine() -> dict[str, dict[str, Any]]:
    """Collect versions, machine, precisions, video, weights and folders.

    A topic that a broken installation cannot report is {BROKEN: reason}.
    """
    topics: dict[str, Callable[[], Mapping[str, Any]]] = {
        "versions": versions,
        "machine": _machine,
        "precisions": _precisions,
        "video": _video,
        "weights": _weights,
        "folders": _folders,
    }
    return {topic: _guarded(collect) for topic, collect in topics.items()}


def _guarded(collect: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    try:
        return dict(collect())
    except (ImportError, OSError) as error:  # from a package or a library it loads
        return {BROKEN: one_line(error)}


def versions() -> dict[str, str | None]:
    """Versions of Python and each package; None if not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in (*NEEDED, *OPTIONAL):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def _machine() -> dict[str, Any]:
    import torch

    from stadkit.detection import pick_device, pick_precision
    from stadkit.detection.device import cuda_complaint

    device = pick_device("auto")
    cuda = device.type == "cuda"
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "torch threads": torch.get_num_threads(),
        "cuda": torch.version.cuda if cuda else None,
        "cuda error": cuda_complaint() or None,
        "gpu": torch.cuda.get_device_name() if cuda else None,
        "gpu memory": f"{torch.cuda.mem_get_info()[1] / 1e9:.0f} GB" if cuda else None,
        "auto device": str(device),
        "auto precision": _short_name(pick_precision("auto", device)),
    }


def _short_name(precision: Any) -> str:
    return str(precision).removeprefix("torch.")


def _precisions() -> dict[str, str]:
    """How well each device supports each number format, in words."""
    import torch

    from stadkit.detection import pick_device
    from stadkit.zoo import bf16_is_faster

    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    features = [name for name in CPU_FEATURES if capabilities.get(name)]
    fast = "fast" if bf16_is_faster("cpu") else "works, no faster than fp32"
    found = {
        "cpu": f"fp32; bf16 {fast}; fp16 not supported",
        "cpu features": ", ".join(features) or "unknown to this torch",
    }
    kind = pick_device("auto").type
    if kind != "cpu":
        fast = "fast" if bf16_is_faster(kind) else "emulated or slow"
        found[kind] = f"fp32; bf16 {fast}; fp16 fast"
    return found


def _video() -> dict[str, Any]:
    import av

    libraries = {name: ".".join(map(str, v)) for name, v in av.library_versions.items()}
    codecs = ("h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg")
    return {
        "pyav": "ok",
        "libavcodec": libraries.get("libavcodec"),
        "reads": ", ".join(name for name in codecs if _decodes(name)),
        "h264 writing": "libx264" in av.codecs_available,
        "decord": _decord(),
    }


def _decodes(name: str) -> bool:
    import av

    try:
        av.Codec(name, "r")
    except ValueError:  # base class of PyAV's error for an unknown codec
        return False
    return True


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

    try:
        return {name: state(name) for name in CARDS}
    except WeightsError as error:  # no cache folder
        return dict.fromkeys(CARDS, str(error))


def _folders() -> dict[str, Any]:
    from stadkit.zoo.weights import home

    found = {"stadkit": str(Path(__file__).parents[1]), "python": sys.prefix}
    try:
        cache = home()
    except WeightsError as error:
        return {**found, "STADKIT_HOME": str(error), "writable": False}
    parent = existing(cache)
    return {
        **found,
        "STADKIT_HOME": str(cache),
        "writable": os.access(parent, os.W_OK | os.X_OK) and parent.is_dir(),
        "weights": f"{_size(cache / 'weights') / 1e6:.1f} MB",
        "free": free(parent),
        "temporary": tempfile.gettempdir(),
        "free there": free(Path(tempfile.gettempdir())),
        "working": str(Path.cwd()),
        "free here": free(Path.cwd()),
    }


def existing(folder: Path) -> Path:
    """The folder, or its closest existing parent."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def free(folder: Path) -> str:
    """Free space on the folder's disk."""
    return f"{shutil.disk_usage(folder).free / 1e9:.1f} GB"


def _size(folder: Path) -> int:
    files = folder.iterdir() if folder.is_dir() else ()
    return sum(path.stat().st_size for path in files if path.is_file())
