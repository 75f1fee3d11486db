"""Draws which rooms of the package import which, from the top room down.

python examples/draw_rooms.py docs/architecture.png

Needs matplotlib, which `make demo` installs. The order of the rooms is that of
`tests/test_imports.py`; imports are counted once per importing file and imported module.
"""

import argparse
import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, Patch

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "stadkit"
GROUND = "modules"  # all rooms that are one file above the first folder, one box in the picture
# First room of each group -> its name and colour (Okabe and Ito's, safe for the colour-blind).
GROUPS = {
    GROUND: ("data: no PyTorch", "#0072B2"),
    "layers": ("networks: PyTorch", "#D55E00"),
    "engine": ("runs and commands", "#00795A"),
}
WIDTH, HEIGHT = 3.4, 0.64  # of a box, in columns and rows
ENTRY = 0.45  # where arrows enter a box, in columns from its left edge
Edges = Counter[tuple[str, str]]


def import_order() -> list[str]:
    """The rooms in the order that the import test enforces: a room imports only earlier ones."""
    tree = ast.parse((ROOT / "tests" / "test_imports.py").read_text())
    assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
    order = next(node.value for node in assigned if ast.unparse(node.targets[0]) == "ORDER")
    names = [node for node in ast.walk(order) if isinstance(node, ast.Constant)]
    names.sort(key=lambda node: (node.lineno, node.col_offset))
    return [str(node.value) for node in names]


def ground_modules(order: list[str]) -> list[str]:
    """The rooms that are single files, up to the first folder."""
    first = next(i for i, name in enumerate(order) if (PACKAGE / name).is_dir())
    return order[:first]


def imported_modules(path: Path) -> set[str]:
    """The modules of stadkit that a file imports, at its top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "stadkit":
            found |= {f"stadkit.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.startswith("stadkit.")}


def count_imports(order: list[str]) -> Edges:
    """(importing room, imported room) -> number of imports; the ground modules are one room."""
    shown = {name: name for name in order} | dict.fromkeys(ground_modules(order), GROUND)
    edges: Edges = Counter()
    for path in sorted(PACKAGE.rglob("*.py")):
        here = shown.get(path.relative_to(PACKAGE).parts[0].removesuffix(".py"))
        for module in imported_modules(path):
            there = shown.get(module.split(".")[1])
            if here and there and here != there:
                edges[here, there] += 1
    return edges


def colours(rooms: list[str]) -> Iterator[str]:
    """The colour of each room: that of its group."""
    colour = ""
    for room in rooms:
        colour = GROUPS[room][1] if room in GROUPS else colour
        yield colour


def draw_box(axes: Axes, place: int, name: str, colour: str, width: float) -> None:
    """Draw a room at its place on the diagonal."""
    box = FancyBboxPatch(
        (place, place - HEIGHT / 2),
        width,
        HEIGHT,
        boxstyle="round,pad=0,rounding_size=0.12",
        facecolor=colour,
        edgecolor="white",
        zorder=3,
    )
    axes.add_patch(box)
    axes.text(place + 0.18, place, name, color="white", va="center", fontsize=11, zorder=4)


def draw_arrow(axes: Axes, start: int, end: int, count: int, colour: str) -> None:
    """Draw one arrow: left from the importing room, then up into the imported one."""
    x, top = end + ENTRY, end + HEIGHT / 2
    width = 0.7 + 0.55 * count**0.5
    axes.plot([start, x], [start, start], color=colour, linewidth=width, zorder=1)
    axes.plot([x, x], [start, top + 0.12], color="0.6", linewidth=width, zorder=0)
    axes.plot(x, top + 0.1, marker="^", markersize=7, color="0.3", zorder=2)
    circle = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": colour}
    axes.text(x, start, str(count), ha="center", va="center", fontsize=8, bbox=circle, zorder=5)


def draw(picture: Path) -> None:
    """Draw all rooms and their imports into a PNG of 1000 x 1000 pixels."""
    order = import_order()
    ground = ground_modules(order)
    rooms = [GROUND, *order[len(ground) :]]
    figure = plt.figure(figsize=(10, 10), dpi=100)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(-0.4, len(rooms) + WIDTH - 0.6), ylim=(len(rooms) - 0.4, -0.6))
    axes.axis("off")
    colour = dict(zip(rooms, colours(rooms), strict=True))
    for place, room in enumerate(rooms):
        if room == GROUND:
            draw_box(axes, place, ", ".join(ground), colour[room], len(rooms) + WIDTH - 1)
        else:
            name = f"{room}/" if (PACKAGE / room).is_dir() else f"{room}.py"
            draw_box(axes, place, name, colour[room], WIDTH)
    for (here, there), count in sorted(count_imports(order).items(), key=lambda edge: -edge[1]):
        draw_arrow(axes, rooms.index(here), rooms.index(there), count, colour[here])
    axes.legend(
        handles=[Patch(color=shade, label=label) for label, shade in GROUPS.values()],
        title="A room imports only rooms above it.\n"
        "Follow a line left from a room, then up\n"
        "from each number to the imported room.\n"
        "Numbers and line widths count imports.",
        loc="upper right",
        bbox_to_anchor=(0.985, 0.93),
        fontsize=11,
        title_fontsize=11.5,
        alignment="left",
        frameon=False,
    )
    figure.savefig(picture)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", type=Path, help="PNG to write")
    args = parser.parse_args()
    draw(args.picture)
    print(args.picture)


if __name__ == "__main__":
    main()
