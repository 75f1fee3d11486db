"""A room imports only rooms above it; nothing before `layers` imports torch."""

import ast
from collections.abc import Iterator, KeysView
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import stadkit

ORDER = [
    *("errors", "arrays", "pairwise", "atomic", "console", "memory"),
    *("labels", "boxes", "detections", "instances", "tubes", "files", "video"),
    *(
        "linking",
        "tla",
        "metrics",
        "readers",
        "synth",
        "layers",
        "models",
        "zoo",
        "detection",
        "training",
    ),
    *("engine", "runs", "pseudo_labelling", "doctor", "bench", "api", "cli"),
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


def graph() -> dict[str, set[str]]:
    """Module -> the modules that it imports, also inside functions, but not for types alone."""
    modules = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        modules[name.removesuffix(".__init__")] = path
    return {name: imported(name, path, modules.keys()) for name, path in modules.items()}


def imported(name: str, path: Path, modules: KeysView[str]) -> set[str]:
    tree = ast.parse(path.read_text())
    tests = (node for node in ast.walk(tree) if isinstance(node, ast.If))
    types = [node for node in tests if "TYPE_CHECKING" in ast.unparse(node.test)]
    skipped = {id(node) for block in types for node in ast.walk(block)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and id(node) not in skipped:
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {each if each in modules else node.module for each in whole}
    return (found & modules) - {name}


def test_no_import_goes_round_in_a_circle() -> None:
    TopologicalSorter(graph()).prepare()  # raises CycleError, which names the circle


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
