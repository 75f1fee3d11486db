"""What `stadkit doctor` says of this machine: facts by topic, all of them JSON."""

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

BROKEN = "broken"  # the key of a reason
NEEDED = (
    *("stadkit", "torch", "av", "opencv-python", "numpy", "pandas", "scipy"),
    *("safetensors", "typer", "rich", "pydantic", "huggingface-hub"),
)
OPTIONAL = ("decord", "ray", "onnx", "onnxruntime", "gdown")
CPU_FEATURES = ("amx_bf16", "amx_fp16", "avx512_bf16", "avx512_fp16", "avx512_f", "avx2")


def examine() -> dict[str, dict[str, Any]]:
    """Versions, machine, number formats by device, video, weights and folders; of a topic that a
    broken installation cannot say anything of, only why: {BROKEN: reason}."""
    topics: dict[str, Callable[[], Mapping[str, Any]]] = {
        "versions": versions,
        "machine": _machine,
        "precisions": _precisions,
        "video": _video,
        "weights": _weights,
        "folders": _folders,
    }
    return {topic: _guarded(look) for topic, look in topics.items()}


def _guarded(look: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    try:
        return dict(look())
    except (ImportError, OSError) as error:  # of a package, or of a library that it loads
        return {BROKEN: one_line(error)}


def versions() -> dict[str, str | None]:
    """Of Python and each package; None for one that is not installed."""
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
        "cuda complains": cuda_complaint() or None,
        "gpu": torch.cuda.get_device_name() if cuda else None,
        "gpu memory": f"{torch.cuda.mem_get_info()[1] / 1e9:.0f} GB" if cuda else None,
        "auto device": str(device),
        "auto precision": _name(pick_precision("auto", device)),
    }


def _name(precision: Any) -> str:
    return str(precision).removeprefix("torch.")


def _precisions() -> dict[str, str]:
    """What each device does with each number format, in words."""
    import torch

    from stadkit.detection import pick_device
    from stadkit.zoo import bf16_is_faster

    able: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    has = [name for name in CPU_FEATURES if able.get(name)]
    fast = "fast" if bf16_is_faster("cpu") else "works, no faster than fp32"
    found = {
        "cpu": f"fp32; bf16 {fast}; fp16 is refused",
        "cpu features": ", ".join(has) or "unknown to this torch",
    }
    kind = pick_device("auto").type
    if kind != "cpu":
        fast = "fast" if bf16_is_faster(kind) else "imitated or slow"
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
    except ValueError:  # of which PyAV's own error for an unknown codec is one
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
    except WeightsError as error:  # there is no home
        return dict.fromkeys(CARDS, str(error))


def _folders() -> dict[str, Any]:
    from stadkit.zoo.weights import home

    found = {"stadkit": str(Path(__file__).parents[1]), "python": sys.prefix}
    try:
        cache = home()
    except WeightsError as error:
        return {**found, "STADKIT_HOME": str(error), "writable": False}
    there = existing(cache)
    return {
        **found,
        "STADKIT_HOME": str(cache),
        "writable": os.access(there, os.W_OK | os.X_OK) and there.is_dir(),
        "weights": f"{_size(cache / 'weights') / 1e6:.1f} MB",
        "free": free(there),
        "temporary": tempfile.gettempdir(),
        "free there": free(Path(tempfile.gettempdir())),
        "working": str(Path.cwd()),
        "free here": free(Path.cwd()),
    }


def existing(folder: Path) -> Path:
    """The folder, or the first above it that exists."""
    return next(path for path in (folder, *folder.absolute().parents) if path.exists())


def free(folder: Path) -> str:
    """Free space of the disk that a folder is on."""
    return f"{shutil.disk_usage(folder).free / 1e9:.1f} GB"


def _size(folder: Path) -> int:
    files = folder.iterdir() if folder.is_dir() else ()
    return sum(path.stat().st_size for path in files if path.is_file())
