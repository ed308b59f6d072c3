"""ss_poc.networks.torch_file: arrays out of PyTorch's first format, and nothing else."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from ss_poc.core.errors import ModelError
from ss_poc.networks.torch_file import read_torch

MAGIC = 0x1950A86A20F9469CFC6C
HEADER = b"".join(pickle.dumps(part, 2) for part in (MAGIC, 1001, {"protocol_version": 1001, "little_endian": True}))
NUMBERS = struct.pack("<q", 6) + np.arange(6, dtype="<f4").tobytes()
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def ops(value: object) -> bytes:
    """The operations of a pickle that put a value on the stack."""
    return pickle.dumps(value, 2)[2:-1]


def tensor(offset: int = 0, shape: tuple[int, ...] = (2, 3), strides: tuple[int, ...] = (1, 2), count: int = 6,
           kind: bytes = b"ctorch\nFloatStorage\n", word: str = "storage", call: bytes = REBUILD) -> bytes:
    """As PyTorch pickles a tensor: a call with a storage, which is a tuple that stands for it, and numbers."""
    storage = b"(" + ops(word) + kind + ops("7") + ops("cpu") + ops(count) + b"NtQ"
    return call + b"(" + storage + ops(offset) + ops(shape) + ops(strides) + ops(False) + b"}tR"


def file_of(path: Path, value: bytes, numbers: bytes = NUMBERS, keys: object = ("7",), header: bytes = HEADER) -> Path:
    """A file of one tensor named `a`."""
    state = b"\x80\x02ccollections\nOrderedDict\n)R" + ops("a") + value + b"s."
    path.write_bytes(header + state + pickle.dumps(list(keys), 2) + numbers)
    return path


def refused(path: Path) -> str:
    with pytest.raises(ModelError) as error:
        read_torch(path)
    assert str(path) in error.value.what and "\n" not in error.value.what and error.value.expected
    return error.value.what


def test_numbers_lie_where_their_strides_say(tmp_path):
    """0…5 in columns of two: rows are 0 2 4 and 1 3 5."""
    found = read_torch(file_of(tmp_path / "a.pth", tensor()))
    assert found["a"].tolist() == [[0, 2, 4], [1, 3, 5]] and found["a"].dtype == np.float32


@pytest.mark.parametrize(("value", "expected"), [
    (tensor(3, (3,), (1,)), [3, 4, 5]), (tensor(1, (2,), (4,)), [1, 5]), (tensor(5, (), ()), 5)])
def test_a_tensor_may_be_a_piece_of_its_storage(tmp_path, value, expected):
    assert read_torch(file_of(tmp_path / "a.pth", value))["a"].tolist() == expected


def test_whole_numbers_are_read_too(tmp_path):
    numbers = struct.pack("<qq", 1, -3)
    value = tensor(0, (), (), 1, b"ctorch\nLongStorage\n")
    assert read_torch(file_of(tmp_path / "a.pth", value, numbers))["a"].tolist() == -3


@pytest.mark.parametrize("name", [b"cos\nsystem\n", b"cposix\nsystem\n", b"csubprocess\ngetoutput\n"])
def test_a_file_that_calls_a_function_is_refused_before_the_call(tmp_path, name):
    trap = tmp_path / "trap"
    call = name + b"(" + ops(f"touch {trap}") + b"tR"
    pickle.loads(b"\x80\x02" + call + b".")
    assert trap.exists()  # it would work
    trap.unlink()
    assert "is no part of an array" in refused(file_of(tmp_path / "a.pth", call))
    assert "is no part of an array" in refused(file_of(tmp_path / "a.pth", tensor(), header=b"\x80\x02" + call + b"."))
    assert not trap.exists()


@pytest.mark.parametrize("name", [b"cbuiltins\neval\n", b"cbuiltins\ngetattr\n", b"cnumpy\nfromfile\n",
                                  b"ctorch\nload\n", b"ctorch\nHalfStorage\n", b"ccollections\nnamedtuple\n",
                                  b"css_poc.networks.torch_file\nread_torch\n", b"ctorch._utils\n__builtins__\n"])
def test_any_other_name_is_refused_even_uncalled(tmp_path, name):
    assert "is no part of an array" in refused(file_of(tmp_path / "a.pth", name))


def test_a_pickle_can_change_nothing_of_what_it_is_given(tmp_path):
    state = REBUILD + b"}" + ops("__call__") + ops(1) + b"sb"  # BUILD sets attributes
    refused(file_of(tmp_path / "a.pth", state))
    assert "a" in read_torch(file_of(tmp_path / "b.pth", tensor()))


@pytest.mark.parametrize("value", [
    tensor(strides=(1, 3)), tensor(offset=1), tensor(offset=-1), tensor(strides=(-1, 2)), tensor(shape=(2, -3)),
    tensor(shape=(2,)), tensor(shape=(10**6, 10**6), strides=(0, 0)), tensor(shape=(0, 3)), tensor(count=7),
    tensor(count=-6), tensor(count=2**62), tensor(kind=b"ctorch._utils\n_rebuild_tensor_v2\n"),
    tensor(kind=ops("DoubleStorage")), tensor(word="module"), ops([1, 2]), ops("a" * 300 + "\n"), REBUILD,
    tensor(shape=(1,) * 9, strides=(1,) * 9), tensor(offset=True), tensor(shape=(2.0, 3.0))],
    ids=lambda value: f"{len(value)} bytes")
def test_a_tensor_that_is_not_within_its_numbers_is_refused(tmp_path, value):
    refused(file_of(tmp_path / "a.pth", value))


@pytest.mark.parametrize("change", [
    {"numbers": NUMBERS[:-1]}, {"numbers": NUMBERS + b"\0"}, {"numbers": b""}, {"keys": ()}, {"keys": ("7", "7")},
    {"keys": ("8",)}, {"keys": (7,)}, {"header": HEADER.replace(b"\xe9\x03", b"\xea\x03")}, {"header": b""},
    {"header": HEADER[:-60]}, {"header": HEADER.replace(b"\x88", b"\x89")}])
def test_a_damaged_file_is_refused(tmp_path, change):
    refused(file_of(tmp_path / "a.pth", tensor(), **change))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + bytes(100), b"not weights", b"\x80\x04\x95" + b"\xff" * 8])
def test_what_is_no_file_of_pytorch_is_refused(tmp_path, content):
    (tmp_path / "a.pth").write_bytes(content)
    refused(tmp_path / "a.pth")


def test_a_missing_file_and_one_of_many_gigabytes_are_refused(tmp_path):
    assert "there is no file" in refused(tmp_path / "none.pth")
    with (tmp_path / "a.pth").open("wb") as file:
        file.truncate(2**33)
    assert "8589934592 bytes" in refused(tmp_path / "a.pth")
