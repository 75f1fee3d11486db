import io
import os
import pickle
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stadkit.errors import AnnotationError, StadkitError
from stadkit.files.pickles import dump, load

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
NESTED = st.recursive(
    PLAIN | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
        | st.frozensets(PLAIN, max_size=4)
    ),
    max_leaves=12,
)
TYPES = st.sampled_from(["?", "u1", "<u2", ">u2", "<i8", ">i4", "<f2", "<f4", ">f8", "S5", "<U7"])
ARRAYS = hnp.arrays(TYPES, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))


def written(tmp_path: Path, data: bytes) -> Path:
    (tmp_path / "a.pkl").write_bytes(data)
    return tmp_path / "a.pkl"


def read(tmp_path: Path, value: Any, protocol: int) -> Any:
    return load(written(tmp_path, pickle.dumps(value, protocol)))


@given(value=NESTED, protocol=st.integers(0, 5))
def test_containers_round_trip(tmp_path_factory: Any, value: Any, protocol: int) -> None:
    assert read(tmp_path_factory.getbasetemp(), value, protocol) == value


@given(array=ARRAYS, protocol=st.integers(0, 5), fortran=st.booleans())
def test_arrays_round_trip(tmp_path_factory: Any, array: Any, protocol: int, fortran: bool) -> None:
    array = np.asfortranarray(array) if fortran else array
    back = read(tmp_path_factory.getbasetemp(), {"a": array}, protocol)["a"]
    # NumPy itself turns some into the machine's byte order as it reads them.
    assert back.dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
    assert back.shape == array.shape
    np.testing.assert_array_equal(back, array)


@given(array=ARRAYS, protocol=st.integers(0, 5))
def test_scalars_round_trip(tmp_path_factory: Any, array: Any, protocol: int) -> None:
    values = list(array.reshape(-1)[:3])
    back = read(tmp_path_factory.getbasetemp(), values, protocol)
    assert [type(v) for v in back] == [type(v) for v in values]
    np.testing.assert_array_equal(np.array(back), np.array(values))


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_arrays_round_trip(tmp_path: Path, protocol: int) -> None:
    ragged = np.empty(2, object)
    ragged[:] = [np.arange(3), "v"]
    back = read(tmp_path, ragged, protocol)
    assert back.shape == (2,)
    assert (back[0].tolist(), back[1]) == ([0, 1, 2], "v")


def test_python_2_pickles_are_read(tmp_path: Path) -> None:
    # pickle.dumps({'v': np.array([[1, 200]], 'u1'), 'n': np.float64(0.5)}, 2) in Python 2,
    # where str is bytes (U) and the modules have their old names.
    half = b"\x00\x00\x00\x00\x00\x00\xe0?"
    data = (
        b"\x80\x02}q\x00(U\x01vcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
        b"K\x00\x85U\x01b\x87R(K\x01K\x01K\x02\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x02\x01\xc8tb"
        b"U\x01ncnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nU\x02f8K\x00K\x01\x87R"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbU\x08" + half + b"\x86Ru."
    )
    back = load(written(tmp_path, data))
    assert back["v"].tolist() == [[1, 200]]
    assert back["v"].dtype == np.uint8
    assert back["n"] == 0.5


def test_special_dictionaries_become_plain_ones(tmp_path: Path) -> None:
    from collections import OrderedDict, defaultdict

    value = [OrderedDict(a=1), defaultdict(list, {"b": [2]})]
    assert [type(v) for v in read(tmp_path, value, 2)] == [dict, dict]
    assert read(tmp_path, value, 2) == [{"a": 1}, {"b": [2]}]


class Command:
    def __init__(self, call: Any, *arguments: Any) -> None:
        self.made = (call, arguments)

    def __reduce__(self) -> Any:
        return self.made


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("call", "name"),
    [
        (os.system, "system"),
        (eval, "eval"),
        (getattr, "getattr"),
        (subprocess.Popen, "Popen"),
        (bytearray, "bytearray"),
        (np.load, "load"),
    ],
)
def test_other_globals_are_named_and_not_run(
    tmp_path: Path, call: Any, name: str, protocol: int
) -> None:
    mark = tmp_path / "ran"
    path = written(tmp_path, pickle.dumps({"a": Command(call, f"touch {mark}")}, protocol))
    with pytest.raises(AnnotationError, match=rf"a[.]pkl: refuses to run \w+[.]{name} ") as caught:
        load(path)
    assert not mark.exists()
    assert "\n" not in str(caught.value)


def array_state(*state: Any) -> bytes:
    """Pickle an array with this state, valid or not."""

    class Pickler(pickle.Pickler):
        def reducer_override(self, value: Any) -> Any:
            made = np.zeros(3, object).__reduce__() if value is Ellipsis else NotImplemented
            return (*made[:2], state) if value is Ellipsis else made

    out = io.BytesIO()
    Pickler(out, 4).dump([...])
    return out.getvalue()


FLOAT, OBJECT = np.dtype("f8"), np.dtype("O")


@pytest.mark.parametrize(
    "state",
    [
        (1, (3,), OBJECT, False, [1]),  # NumPy would read past the list's end
        (1, (1,), OBJECT, False, b"12345678"),  # bytes as pointers
        (1, (2,), FLOAT, False, b"12345678"),
        (1, (1 << 40,), FLOAT, False, b""),
        (1, (-1,), FLOAT, False, b""),
        (1, (0.5,), FLOAT, False, b"1234"),
        (1, (1,), np.dtype([("a", "f8")]), False, b"12345678"),
        (1, (1,), np.dtype(("f4", (2,))), False, b"12345678"),
        (1, (1,), np.dtype("M8[s]"), False, b"12345678"),
    ],
)
def test_inconsistent_arrays_are_rejected(tmp_path: Path, state: Any) -> None:
    with pytest.raises(AnnotationError, match="cannot be read as a pickle"):
        load(written(tmp_path, array_state(*state)))


def test_dtype_flags_are_not_trusted(tmp_path: Path) -> None:
    """Numbers flagged as objects would be dereferenced as pointers."""
    data = pickle.dumps(np.array([1.5, 2.5]), 2)
    end = b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"
    assert data.count(end) == 1
    back = load(written(tmp_path, data.replace(end, end[:-2] + b"\x3ft")))
    assert back.dtype.flags == np.dtype("f8").flags
    assert back.tolist() == [1.5, 2.5]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\n<!DOCTYPE html><title>Google Drive", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "is a Git LFS pointer"),
        (b"\x1f\x8b\x08", "is an archive"),
        (b"video,0902,0.1", "cannot be read as a pickle"),
        (b"\x80\x04.", "cannot be read as a pickle"),
        (b"\x80\x09N.", "unsupported pickle protocol: 9"),
        (pickle.dumps({"a": np.arange(9)})[:-20], "truncated"),
        (pickle.dumps(list(range(500)))[:600], "truncated"),
    ],
)
def test_non_pickles_are_reported_in_one_line(tmp_path: Path, data: bytes, says: str) -> None:
    with pytest.raises(AnnotationError, match=f"a.pkl: .*{says}") as caught:
        load(written(tmp_path, data))
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=60))
def test_noise_only_raises_annotation_errors(tmp_path_factory: Any, data: bytes) -> None:
    with suppress(AnnotationError):
        load(written(tmp_path_factory.getbasetemp(), b"\x80\x02" + data + b"."))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match=r"b[.]pkl: does not exist"):
        load(tmp_path / "b.pkl")
    with pytest.raises(AnnotationError, match="is not a file"):
        load(tmp_path)


def test_dump_is_atomic(tmp_path: Path) -> None:
    dump({"a": [1]}, tmp_path / "a.pkl")
    assert load(tmp_path / "a.pkl") == {"a": [1]}
    with pytest.raises(StadkitError, match="cannot be written"):
        dump(1, tmp_path / "none" / "a.pkl")
    assert [p.name for p in tmp_path.iterdir()] == ["a.pkl"]
