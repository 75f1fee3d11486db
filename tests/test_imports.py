"""A room imports only rooms above it; nothing before `layers` imports torch."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import stadkit

ORDER = [
    *("errors", "arrays", "pairwise", "atomic", "console", "memory"),
    *("labels", "boxes", "detections", "instances", "tubes", "files", "video"),
    *(
        "link",
        "tla",
        "metrics",
        "readers",
        "synth",
        "layers",
        "models",
        "zoo",
        "detect",
        "training",
    ),
    *("engine", "runs", "pseudo_labelling", "doctor", "bench", "cli"),
]
PACKAGE = Path(stadkit.__file__).parent


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports() -> Iterator[tuple[Path, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                yield path, node.module
                if node.module == "stadkit":
                    yield from ((path, f"stadkit.{alias.name}") for alias in node.names)
            elif isinstance(node, ast.Import):
                yield from ((path, alias.name) for alias in node.names)


def test_imports_point_one_way() -> None:
    for path, name in imports():
        here, parts = room(path), name.split(".")
        if parts[0] != "stadkit" or len(parts) == 1 or here in ("__init__", "__main__"):
            continue
        there = parts[1]
        if there == "__version__":
            continue
        assert there == here or ORDER.index(there) < ORDER.index(here), (path, name)


def test_every_room_has_its_place() -> None:
    rooms = {room(path) for path in PACKAGE.rglob("*.py")} - {"__init__", "__main__"}
    assert rooms <= set(ORDER)


def test_no_torch_before_layers() -> None:
    early = ORDER[: ORDER.index("layers")]
    assert not [p for p, name in imports() if name.split(".")[0] == "torch" and room(p) in early]


@pytest.mark.parametrize("module", ["stadkit", "stadkit.cli.app"])
def test_heavy_libraries_wait_until_used(module: str) -> None:
    import subprocess
    import sys

    code = (
        f"import sys, {module}; "
        "print(sorted({'torch', 'pandas', 'scipy', 'matplotlib', 'cv2', 'av'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
