"""Read the arrays of a PyTorch file of the first format (before 1.6), without PyTorch.

Such a file is a row of pickles, then the numbers. A pickle may name any function and call it. Here it may name only
what PyTorch writes for tensors, and gets objects of ours that do nothing but keep what they are told.
"""

from __future__ import annotations

import math
import pickle
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..core.errors import ModelError

__all__ = ["read_torch"]

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
KINDS: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
MOST_BYTES, MOST_AXES = 512 * 2**20, 8


@dataclass(frozen=True)
class _Storage:
    """Numbers in a row, which follow the pickles: their name, type and count."""

    key: str
    kind: np.dtype
    count: int


@dataclass(frozen=True)
class _Tensor:
    """Where in its storage an array lies; offset and strides count numbers."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __post_init__(self) -> None:
        numbers = (self.offset, *self.shape, *self.strides)
        if not isinstance(self.storage, _Storage) or not all(type(number) is int and number >= 0 for number in numbers):
            raise ValueError(f"a tensor of {numbers}")
        if len(self.shape) != len(self.strides) or len(self.shape) > MOST_AXES:
            raise ValueError(f"a tensor of shape {self.shape} with strides {self.strides}")
        last = self.offset + sum((length - 1) * stride for length, stride in zip(self.shape, self.strides, strict=True))
        # A stride of 0 would make a large array of a single number.
        if not 0 < math.prod(self.shape) <= self.storage.count or last >= self.storage.count:
            raise ValueError(f"a tensor of shape {self.shape} is not within the {self.storage.count} numbers stored")

    def array(self, storages: dict[str, np.ndarray]) -> np.ndarray:
        values = storages[self.storage.key][self.offset:]
        strides = [stride * values.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(values, self.shape, strides).copy()


class _MakeTensor:
    """Stands for `torch._utils._rebuild_tensor_v2`. Without a `__dict__`: a pickle can change nothing of it."""

    __slots__ = ()

    def __call__(self, storage: Any, offset: int, shape: Sequence[int], strides: Sequence[int], *_rest: Any) -> _Tensor:
        return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    """Gives a pickle our objects for the names that tensors need, and no other."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _MakeTensor()
        if module == "torch" and name in KINDS:
            return name
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is no part of an array")

    def persistent_load(self, pid: Any) -> _Storage:
        word, kind, key, _device, count, *_view = pid
        if word != "storage" or type(key) is not str or type(count) is not int or count < 0:
            raise pickle.UnpicklingError(f"it stores {pid!r:.80}")
        return _Storage(key, KINDS[kind], count)


def read_torch(path: Path) -> dict[str, np.ndarray]:
    """Read a state dict: the name and array of each tensor, float32 or int64.

    No function that the file names is ever called, whatever it holds.

    Args:
        path: written by `torch.save` of PyTorch before 1.6, or with `_use_new_zipfile_serialization=False`.

    Raises:
        ModelError: the file is missing, damaged, too large, or holds anything but tensors of these types.
    """
    if not path.is_file():
        raise ModelError(f"there is no file {path}", "a PyTorch file of weights")
    if path.stat().st_size > MOST_BYTES:
        raise ModelError(f"{path} has {path.stat().st_size} bytes", f"at most {MOST_BYTES}")
    try:
        with path.open("rb") as file:
            return _read(file, path.stat().st_size)
    except Exception as error:  # of pickle, NumPy and the checks above: a damaged file fails in many ways
        raise ModelError(f"{path} is no PyTorch file that can be read: {(repr(error).splitlines() or [''])[0]:.200}",
                         "tensors of float32 or int64 alone, in PyTorch's format from before 1.6",
                         "download it again") from error


def _read(file: BinaryIO, size: int) -> dict[str, np.ndarray]:
    header = [_Unpickler(file).load() for _ in range(3)]
    if header[:2] != [MAGIC, PROTOCOL] or dict(header[2]).get("little_endian") is not True:
        raise ValueError(f"it begins with {header[:2]}")
    tensors, keys = dict(_Unpickler(file).load()), list(_Unpickler(file).load())
    if not all(type(name) is str and type(tensor) is _Tensor for name, tensor in tensors.items()):
        raise ValueError("it holds other things than tensors")
    wanted = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    if sorted(keys) != sorted(wanted):
        raise ValueError("the numbers in it are not those of its tensors")
    storages = {key: _numbers(file, wanted[key], size) for key in keys}
    if file.read(1):
        raise ValueError("more follows its numbers")
    return {name: tensor.array(storages) for name, tensor in tensors.items()}


def _numbers(file: BinaryIO, storage: _Storage, size: int) -> np.ndarray:
    count = int.from_bytes(file.read(8), "little")
    wanted = count * storage.kind.itemsize
    if count != storage.count or wanted > size - file.tell():
        raise ValueError(f"{count} numbers, where {storage.count} should be")
    return np.frombuffer(file.read(wanted), storage.kind)
