"""ss_poc.serving.memory: how large an image may be, and that one of that size is served within the memory there is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ss_poc.core.config import ServeConfig
from ss_poc.core.errors import ImageError
from ss_poc.core.model_spec import ModelSpec
from ss_poc.serving import memory

GB, GIB, MIB = 10**9, 2**30, 2**20
HERE = Path(__file__).parent


def spec(classes: int, scale: float) -> ModelSpec:
    names = tuple(f"c{index}" for index in range(classes))
    return ModelSpec("demo", "v_1", names, ("#ff0000",) * classes, tuple(range(classes)), (256, 256), "x", "",
                     scale=scale)


@pytest.fixture
def limit(monkeypatch):
    """Set the memory there is; the process itself takes none."""
    monkeypatch.setattr(memory, "memory_used", lambda: 0)
    return lambda limit: monkeypatch.setattr(memory, "memory_limit", lambda: limit)


def test_a_pixel_takes_the_image_its_masks_its_maps_and_the_largest_step():
    assert memory.bytes_a_pixel(spec(1, 1.0)) == 3 + 1 + 4 + 20
    assert memory.bytes_a_pixel(spec(5, 0.5)) == 3 + 5 + 5 + 17
    assert memory.bytes_a_pixel(spec(5, 1.0), half=True) == 3 + 5 + 10 + 20
    assert memory.bytes_a_pixel(spec(2, 0.0)) == 3 + 2 + 0 + 16


def test_the_largest_image_follows_from_memory_and_workers_and_a_setting_overrides(limit):
    limit(2 * GB)
    # Less an eighth for bodies: 1.75e9 bytes. 0.85 of them are for images, two thirds of that for the large one.
    assert memory.room_for(spec(1, 1.0), ServeConfig()).pixels == int(991_666_666 / 28)
    # A worker of two has 1e9 bytes, and bodies an eighth of that.
    assert memory.room_for(spec(1, 1.0), ServeConfig(workers=2)).pixels == int(495_833_333 / 28)
    assert memory.room_for(spec(1, 1.0), ServeConfig(max_pixels=7)).pixels == 7
    limit(64 * GIB)
    assert memory.room_for(spec(5, 1.0), ServeConfig()).pixels == 100_000_000
    limit(10 * MIB)
    assert memory.room_for(spec(1, 1.0), ServeConfig()).pixels == 1


def test_images_beside_the_large_one_share_what_is_left_with_the_collector(limit):
    limit(2 * GB)
    threads, left = 2, 1_487_500_000 / 3 / 28
    assert memory.room_for(spec(1, 1.0), ServeConfig(threads=threads)).large == int(left / 3)
    assert memory.room_for(spec(1, 1.0), ServeConfig(threads=threads, collect=1)).large == int(left / 4)
    limit(64 * GIB)
    assert memory.room_for(spec(1, 1.0), ServeConfig(threads=threads)).large == 16_000_000


def test_bodies_take_an_eighth_of_memory_but_one_of_the_largest_fits_always(limit):
    limit(2 * GB)
    assert memory.bytes_of_bodies(ServeConfig()) == 250_000_000
    assert memory.bytes_of_bodies(ServeConfig(workers=4)) == 64 * MIB
    limit(64 * GIB)
    assert memory.bytes_of_bodies(ServeConfig()) == 8 * 64 * MIB


@pytest.mark.parametrize(("size_hw", "scale", "fits"), [
    ((1, 40_000), 1.0, True), ((1, 40_001), 1.0, False), ((40_001, 1), 1.0, False), ((256, 10**6), 1.0, True),
    ((200, 200), 1.0, True), ((1, 40_001), 0.0, True), ((2, 20_000), 0.5, True), ((2, 20_002), 0.5, False)])
def test_an_image_much_longer_than_wide_is_refused_where_its_windows_would_be_too_many(size_hw, scale, fits):
    # A map of 1x40000 is continued to a window's 256 rows: 10_240_000 pixels. At half scale a quarter is allowed.
    most = 10_240_000 if scale == 1 else 4 * 256 * 10_000
    if fits:
        memory.check_shape(size_hw, spec(1, scale), most)
        return
    with pytest.raises(ImageError, match="too narrow for its length") as caught:
        memory.check_shape(size_hw, spec(1, scale), most)
    assert caught.value.status == 413


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory is Linux'")
@pytest.mark.parametrize(("classes", "scale", "kinds"), [(1, 1.0, "json,png"), (5, 0.5, "json")])
def test_the_largest_accepted_image_is_served_within_2_gb_with_all_of_it_marked(tmp_path, classes, scale, kinds):
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1] / "src")}
    done = subprocess.run([sys.executable, str(HERE / "large_image.py"), str(tmp_path), "0", str(classes), str(scale),
                           kinds, str(2 * GB)], env=environment, text=True, capture_output=True, timeout=500)
    assert not done.returncode, done.stderr
    found = json.loads(done.stdout)
    print(found)
    assert set(found["status"]) == {200} and found["marked"] == [found["pixels"]] * classes
    assert found["pixels"] > 25_000_000 and found["peak"] < 2 * GB
    assert found["bytes_a_pixel"] <= memory.bytes_a_pixel(spec(classes, scale))
