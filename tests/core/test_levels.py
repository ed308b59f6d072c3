"""ss_poc.core.bit_depth: float, signed and 32-bit files, hot pixels, and white stored as zero."""

from __future__ import annotations

import hashlib
import io
import json
import struct

import numpy as np
import pytest
from boxes import SIZE_HW, grey, plane

from ss_poc.core.bit_depth import Values, find_levels, range_warnings
from ss_poc.core.errors import ArtifactError
from ss_poc.core.images import decode_image, open_image
from ss_poc.core.levels import Levels
from ss_poc.core.model_spec import ModelSpec, read_spec, write_spec


def tiff(values: np.ndarray, white_zero: bool = False, packed: bytes = b"", order: str = "<") -> bytes:
    """A TIFF of one grey strip, byte by byte; `packed` are the bytes of 12 bits each."""
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    data = packed or values.astype(values.dtype.newbyteorder(order)).tobytes()
    tags = [(256, 4, values.shape[1]), (257, 4, values.shape[0]), (258, 3, 12 if packed else 8 * values.itemsize),
            (259, 3, 1), (262, 3, 0 if white_zero else 1), (273, 4, 8), (277, 3, 1), (278, 4, values.shape[0]),
            (279, 4, len(data)), (339, 3, kind)]
    rows = b"".join(struct.pack(f"{order}HHI", tag, form, 1)
                    + (struct.pack(f"{order}HH", value, 0) if form == 3 else struct.pack(f"{order}I", value))
                    for tag, form, value in tags)
    start = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8 + len(data))
    return start + data + struct.pack(f"{order}H", len(tags)) + rows + bytes(4)


def values_of(data: bytes) -> Values:
    opened = open_image(data)
    opened.verify()
    assert opened.values is not None
    return opened.values


def middle(image: np.ndarray) -> tuple[int, int]:
    """Medians of the box and of what is around it."""
    return int(np.median(image[plane()])), int(np.median(image[~plane()]))


# --- one range for the data set


@pytest.mark.parametrize(("factor", "kind", "span"), [
    (1 / 255, np.float32, (0, 1)), (1.0, np.float32, (0, 255)), (4.0, np.float32, (0, 1023)),
    (16.0, np.float32, (0, 4095)), (257.0, np.float32, (0, 65535))])
def test_floats_are_scaled_by_what_they_were_scaled_to(factor, kind, span):
    files = [tiff((grey(seed) * factor).astype(kind)) for seed in (1, 2)]
    levels = find_levels(values_of(data) for data in files)
    assert levels.span == span
    for data in files:
        box, around = middle(decode_image(data, levels=levels))
        assert abs(box - 30) <= 1 and abs(around - 109) <= 2


@pytest.mark.parametrize(("values", "span"), [
    ((grey().astype(np.int32) - 100) * 1000, (-70000.0, 29000.0)), ((grey() - 100.0).astype(np.float32), (-70, 29)),
    ((grey().astype(np.int16) - 100), (-70, 29)), ((200 + grey() / 1000).astype(np.float32), (200.03, 200.129))])
def test_values_of_no_known_range_are_scaled_from_the_least_to_the_highest(values, span):
    data = tiff(values)
    levels = find_levels([values_of(data)])
    assert levels.span == pytest.approx(span)
    image = decode_image(data, levels=levels)
    assert (image.min(), image.max()) == (0, 255) and middle(image)[0] == 0


@pytest.mark.parametrize("kind", [np.int32, np.int16, np.uint32])
def test_whole_numbers_that_fit_16_bits_are_read_as_such_however_they_are_stored(kind):
    data = tiff(grey().astype(kind) * 16)
    levels = find_levels([values_of(data)])
    assert levels == Levels(12) and middle(decode_image(data, levels=levels))[0] == 30


def test_a_range_is_found_for_all_photographs_together_and_16_bits_keep_theirs():
    dark, bright = (tiff((grey() * factor).astype(np.float32)) for factor in (1.0, 16.0))
    camera = tiff(grey().astype(np.uint16) * 4)
    levels = find_levels(map(values_of, (dark, bright, camera)))
    assert levels == Levels(10, (0.0, 4095.0))
    assert middle(decode_image(dark, levels=levels))[0] == 2  # 30 of 4095
    assert middle(decode_image(camera, levels=levels))[0] == 30


# --- one hot pixel changes nothing


@pytest.mark.parametrize(("values", "hot"), [
    ((grey() / 255).astype(np.float32), 1.003), ((grey() / 255).astype(np.float32), np.inf),
    ((grey() / 255).astype(np.float32), np.nan), (grey().astype(np.uint16) * 16, 65535), (grey().astype(np.int32), -1),
    (grey().astype(np.int32) * 16, 2**31 - 1), (grey().astype(np.uint16) * 256, 65535)])
def test_one_hot_pixel_changes_nothing_but_itself(values, hot):
    plain = tiff(values)
    with_hot = values.copy()
    with_hot[90, 100] = hot
    levels = find_levels([values_of(plain)])
    assert find_levels([values_of(tiff(with_hot)), values_of(plain)]) == levels
    before, after = decode_image(plain, levels=levels), decode_image(tiff(with_hot), levels=levels)
    assert np.argwhere((before != after).any(axis=2)).tolist() in ([[90, 100]], [])
    assert range_warnings(values_of(tiff(with_hot)), levels) == range_warnings(values_of(plain), levels)


def test_a_float_of_a_model_that_saw_none_is_not_black_for_one_pixel():
    values = (grey() / 255).astype(np.float32)
    values[0, 0] = 1.003
    assert abs(middle(decode_image(tiff(values)))[1] - 109) <= 2


def test_nothing_finite_is_black():
    data = tiff(np.full((4, 6), np.nan, np.float32))
    assert not decode_image(data, levels=find_levels([values_of(data)])).any()


# --- white is zero


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("most", "kind"), [(4095, np.uint16), (65535, np.uint16), (4095, np.int16), (4095, np.int32),
                                            (1, np.float32)])
def test_white_that_is_stored_as_zero_is_white(most, kind, order):
    black_zero = grey() * (most / 255)
    stored = np.rint(most - black_zero).astype(kind) if most > 1 else (most - black_zero).astype(kind)
    data = tiff(stored, True, order=order)
    levels = find_levels([values_of(data)])
    box, around = middle(decode_image(data, levels=levels))
    assert abs(box - 30) <= 1 and abs(around - 109) <= 2


def test_packed_12_bits_are_read_with_either_zero():
    values = (grey().astype(np.uint16) * 16).reshape(-1, 2).astype(np.uint32)
    triples = (values[:, 0] << 12 | values[:, 1])[:, None] >> np.array([16, 8, 0]) & 255
    packed = triples.astype(np.uint8).tobytes()
    shape = np.zeros(SIZE_HW, np.uint16)
    assert middle(decode_image(tiff(shape, packed=packed), levels=Levels(12)))[0] == 30
    assert middle(decode_image(tiff(shape, True, packed), levels=Levels(12)))[0] == 225


def test_8_bits_with_white_as_zero_are_turned_once():
    buffer = io.BytesIO(tiff(255 - grey(), True))
    assert middle(decode_image(buffer.getvalue())) == middle(np.dstack([grey()] * 3))


# --- what is said, and kept


def test_values_that_do_not_suit_the_training_are_said():
    levels = Levels(16, (0.0, 4095.0))
    known = "the photographs of the training reach from 0 to 4095"
    warn = {name: range_warnings(Values(*ends, whole=False), levels)
            for name, ends in {"good": (0.0, 4100.0), "high": (0.0, 9000.0), "low": (-900.0, 4000.0),
                               "flat": (1000.0, 1100.0)}.items()}
    assert warn == {"good": [], "high": [f"values up to 9000 are clipped to 4095: {known}"],
                    "low": [f"values down to -900 are clipped to 0: {known}"],
                    "flat": ["values 1000 to 1100 use under a tenth of the range 0 to 4095"]}
    assert range_warnings(Values(0.0, 4000.0, whole=False), Levels()) == [
        "values 0 to 4000 are clipped to 0 to 255: the training had no photographs of float, signed or 32-bit values"]
    assert range_warnings(Values(0.0, 1.0, whole=False), Levels()) == []


@pytest.mark.parametrize("damaged", ["[29.5, -70.0]", "[1.0]", "7"])
def test_a_model_keeps_its_range_and_one_that_is_none_is_refused(tmp_path, damaged):
    (tmp_path / "model.onnx").write_bytes(b"graph")
    spec = ModelSpec("parts", "v_1", ("a",), ("#ff0000",), (1,), (32, 64), "compact",
                     hashlib.sha256(b"graph").hexdigest(), value_range=(-70.0, 29.5))
    write_spec(tmp_path, spec)
    assert read_spec(tmp_path).levels == Levels(16, (-70.0, 29.5))
    values = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**values, "value_range": json.loads(damaged)}))
    with pytest.raises(ArtifactError, match="is not a spec of ours"):
        read_spec(tmp_path)
