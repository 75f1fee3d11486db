"""Action labels: AVA's lists, and label files in all common formats."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stadkit.atomic import replacing
from stadkit.errors import AnnotationError

# The names of AVA v2.2 (ava_action_list_v2.2.pbtxt), in the order of their ids, which start
# at 1. AVA's annotations are by Google, https://research.google.com/ava, under CC BY 4.0.
_POSES = """\
bend/bow (at the waist)
crawl
crouch/kneel
dance
fall down
get up
jump/leap
lie/sleep
martial art
run/jog
sit
stand
swim
walk
"""
_WITH_OBJECTS = """\
answer phone
brush teeth
carry/hold (an object)
catch (an object)
chop
climb (e.g., a mountain)
clink glass
close (e.g., a door, a box)
cook
cut
dig
dress/put on clothing
drink
drive (e.g., a car, a truck)
eat
enter
exit
extract
fishing
hit (an object)
kick (an object)
lift/pick up
listen (e.g., to music)
open (e.g., a window, a car door)
paint
play board game
play musical instrument
play with pets
point to (an object)
press
pull (an object)
push (an object)
put down
read
ride (e.g., a bike, a car, a horse)
row boat
sail boat
shoot
shovel
smoke
stir
take a photo
text on/look at a cellphone
throw
touch (an object)
turn (e.g., a screwdriver)
watch (e.g., TV)
work on a computer
write
"""
_WITH_PEOPLE = """\
fight/hit (a person)
give/serve (an object) to (a person)
grab (a person)
hand clap
hand shake
hand wave
hug (a person)
kick (a person)
kiss (a person)
lift (a person)
listen to (a person)
play with kids
push (another person)
sing to (e.g., self, a person, a group)
take (an object) from (a person)
talk to (e.g., self, a person, a group)
watch (a person)
"""

# Ids that ava_action_list_v2.2_for_activitynet_2019.pbtxt excludes from scoring as too rare.
_AVA_NOT_SCORED = (2, 16, 18, 19, 21, 23, 25, 31, 32, 33, 35, 39, 40, 42, 44, 50, 53, 55, 71, 75)

# Line breaks, control characters and lone surrogates: such a name would not survive a round trip.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

_MAX_BYTES = 1_000_000  # anything larger is not a label file

Entry = tuple[int, object, object]  # line, id, name


@dataclass(frozen=True)
class Labels:
    """Ids and names of action classes; raises ValueError for invalid or duplicate entries."""

    ids: tuple[int, ...]  # [c]  as written in files; >= 0, unique
    names: tuple[str, ...]  # [c]  unique, one line, no leading or trailing whitespace

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.names):
            raise ValueError(f"Labels has {len(self.ids)} ids and {len(self.names)} names")
        for number, name in zip(self.ids, self.names, strict=True):
            if reason := _why_wrong(number, name):
                raise ValueError(f"Labels: {reason}")
        for column in (self.ids, self.names):
            if len(set(column)) != len(column):
                raise ValueError("Labels: duplicate id or name")

    def __len__(self) -> int:
        return len(self.ids)


def ava() -> Labels:
    """Return the 80 actions of AVA v2.2, ids 1 to 80."""
    names = (_POSES + _WITH_OBJECTS + _WITH_PEOPLE).splitlines()
    return Labels(tuple(range(1, 81)), tuple(names))


def ava_scored() -> Labels:
    """Return the 60 AVA actions that the benchmark scores."""
    every = ava()
    kept = tuple(number for number in every.ids if number not in _AVA_NOT_SCORED)
    return Labels(kept, tuple(every.names[number - 1] for number in kept))


def ava_groups() -> dict[str, tuple[str, ...]]:
    """Return the names by AVA group: pose (ids 1-14), object (15-63), interaction (64-80)."""
    groups = {"pose": _POSES, "object": _WITH_OBJECTS, "interaction": _WITH_PEOPLE}
    return {group: tuple(names.splitlines()) for group, names in groups.items()}


def read_labels(path: str | Path) -> Labels:
    """Read a label file, in its order; the format is detected from how the file begins.

    Supported: `item { name id }` and `label { name label_id label_type }` (AVA's two pbtxt),
    "1: stand" lines, {"stand": 1} JSON, and plain names, one per line, numbered from 1.
    Raises AnnotationError naming the file and the line.
    """
    path = Path(path)
    entries = list(_entries(path, _read_text(path)))
    seen: dict[object, int] = {}
    for line, number, name in entries:
        if reason := _why_wrong(number, name):
            raise AnnotationError(f"{path}:{line}: {reason}")
        for key in (number, name):
            if key in seen:
                raise AnnotationError(f"{path}:{line}: {key!r} duplicates line {seen[key]}")
            seen[key] = line
    if not entries:
        raise AnnotationError(f"{path}: no labels; write one name per line, or '1: name' lines")
    return Labels(
        ids=tuple(number for _, number, _ in entries if isinstance(number, int)),
        names=tuple(name for _, _, name in entries if isinstance(name, str)),
    )


def write_labels(labels: Labels, path: str | Path) -> None:
    """Write "1: stand" lines, which `read_labels` reads back unchanged."""
    path = Path(path)
    lines = [f"{n}: {name}\n" for n, name in zip(labels.ids, labels.names, strict=True)]
    with replacing(path) as part:
        part.write_text("".join(lines), encoding="utf-8", newline="\n")


def _why_wrong(number: object, name: object) -> str:
    """Return what is wrong with a label; empty when it is valid."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        return f"the id of {name!r} is {number!r}; wants an integer >= 0"
    if not isinstance(name, str) or not name or name != name.strip() or _FORBIDDEN.search(name):
        return f"invalid name {name!r}; wants one line of text without surrounding whitespace"
    return ""


def _read_text(path: Path) -> str:
    if not path.is_file():
        reason = "is not a file" if path.exists() else "does not exist"
        raise AnnotationError(f"{path}: {reason}; name a label file")
    if path.stat().st_size > _MAX_BYTES:
        raise AnnotationError(
            f"{path}: too large for a label file (over {_MAX_BYTES:,} bytes); check the path"
        )
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationError(f"{path}: not UTF-8 text; save it as UTF-8") from error
    except OSError as error:
        raise AnnotationError(f"{path}: {error.strerror}; check its permissions") from error
    return re.sub("\r\n?", "\n", text)


def _entries(path: Path, text: str) -> Iterator[Entry]:
    if re.match(r"\s*\{", text):
        return _json_entries(path, text)
    if re.match(r"\s*[0-9]+\s*:", text):
        return _numbered_entries(path, text)
    if _OPENING.match(text, _skip(text, 0)):
        return _pbtxt_entries(path, text)
    return _plain_entries(text)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the non-blank lines, stripped, with their line numbers."""
    # splitlines() would also split at characters that editors do not treat as line ends.
    for line, words in enumerate(text.split("\n"), 1):
        if words.strip():
            yield line, words.strip()


def _plain_entries(text: str) -> Iterator[Entry]:
    for number, (line, name) in enumerate(_lines(text), 1):
        yield line, number, name


def _numbered_entries(path: Path, text: str) -> Iterator[Entry]:
    for line, words in _lines(text):
        found = re.fullmatch(r"([0-9]{1,9})\s*:\s*(.*)", words)
        if not found:
            raise AnnotationError(f"{path}:{line}: {words!r} is not a '1: name' line")
        yield line, int(found[1]), found[2]


def _json_entries(path: Path, text: str) -> Iterator[Entry]:
    try:
        pairs: list[tuple[str, object]] = json.loads(text, object_pairs_hook=list)
    except json.JSONDecodeError as error:
        raise AnnotationError(f"{path}:{error.lineno}: {error.msg}; fix the JSON") from error
    except (RecursionError, ValueError) as error:
        raise AnnotationError(f'{path}: not a flat {{"name": id}} object; flatten it') from error
    at = 0
    for name, number in pairs:
        # Only for the line number: a key that contains escapes keeps the previous key's line.
        at = max(at, text.find(f'"{name}"', at + 1))
        yield _line(text, at), number, name


# Protocol buffers in text format; a field's value is quoted, or a bare number or word.
_SKIPPED = re.compile(r"(?:[\s,;]|#[^\n]*)*")
_OPENING = re.compile(r"\w+\s*:?\s*\{")
_FIELD = re.compile(r"""(\w+)\s*:\s*("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[\w.+-]+)""")
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|(.))")
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r"}


def _pbtxt_entries(path: Path, text: str) -> Iterator[Entry]:
    """Yield one entry per block; fields other than name, id and label_id are ignored."""
    at = _skip(text, 0)
    while at < len(text):
        line, opening, fields = _line(text, at), _OPENING.match(text, at), dict[str, str]()
        if not opening:
            raise AnnotationError(f"{path}:{line}: expected 'item {{' or 'label {{'")
        at = _skip(text, opening.end())
        while field := _FIELD.match(text, at):
            fields[field[1]] = _value(field[2])
            at = _skip(text, field.end())
        if text[at : at + 1] != "}":
            raise AnnotationError(f"{path}:{_line(text, at)}: expected 'name: value' or '}}'")
        at = _skip(text, at + 1)
        number = fields.get("id", fields.get("label_id", "missing"))
        whole = re.fullmatch("[0-9]{1,9}", number)
        yield line, int(number) if whole else number, fields.get("name", "")


def _skip(text: str, at: int) -> int:
    """Return the start of the next token, past whitespace, separators and comments."""
    found = _SKIPPED.match(text, at)
    return found.end() if found else at


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


def _value(token: str) -> str:
    """Decode a value: strip quotes and resolve escapes (UTF-8 bytes)."""
    if token[0] not in "\"'":
        return token
    return _ESCAPE.sub(_unescape, token[1:-1].encode()).decode("utf-8", "replace")


def _unescape(escape: re.Match[bytes]) -> bytes:
    if escape[1] or escape[2]:
        return bytes([(int(escape[1], 16) if escape[1] else int(escape[2], 8)) & 0xFF])
    return _LETTERS.get(escape[3], escape[3])
