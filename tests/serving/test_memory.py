"""ss_poc.serving.memory: how large an image may be, and that one of that size is served within the memory there is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ss_poc.core.config import ServeConfig
from ss_poc.core.model_spec import ModelSpec
from ss_poc.serving import memory

GIB = 2**30
HERE = Path(__file__).parent


def spec(classes: int, scale: float) -> ModelSpec:
    names = tuple(f"c{index}" for index in range(classes))
    return ModelSpec("demo", "v_1", names, ("#ff0000",) * classes, tuple(range(classes)), (256, 256), "x", "",
                     scale=scale)


def served(*arguments: str) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1] / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(HERE / "large_image.py"), *arguments], env=environment, text=True,
                          capture_output=True, timeout=300, check=False)
    assert not done.returncode, done.stderr
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_pixel_takes_the_image_its_maps_its_masks_and_the_largest_step():
    assert memory.bytes_a_pixel(spec(1, 1.0)) == 3 + 1 + 4 + 20
    assert memory.bytes_a_pixel(spec(5, 0.5)) == 3 + 5 + 5 + 20
    assert memory.bytes_a_pixel(spec(5, 1.0), half=True) == 3 + 5 + 10 + 20


def test_the_largest_image_follows_from_memory_and_workers_and_a_setting_overrides(monkeypatch):
    monkeypatch.setattr(memory, "memory_used", lambda: 0)
    monkeypatch.setattr(memory, "memory_limit", lambda: 2 * 10**9)
    # 2e9 bytes, 0.7 of them for images, 0.75 of that for the large one: 1.05e9 at 28 bytes.
    assert memory.room_for(spec(1, 1.0), ServeConfig()).pixels == 37_500_000
    assert memory.room_for(spec(1, 1.0), ServeConfig(workers=2)).pixels == 18_750_000
    assert memory.room_for(spec(1, 1.0), ServeConfig(max_pixels=7)).pixels == 7
    monkeypatch.setattr(memory, "memory_limit", lambda: 64 * GIB)
    assert memory.room_for(spec(5, 1.0), ServeConfig()).pixels == 100_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", ["json", "png"])
def test_an_image_with_all_marked_takes_no_more_than_is_counted_for_a_pixel(kind):
    found = served("16", "5", "0.5", kind)
    assert found["status"] == 200 and found["bytes_a_pixel"] <= memory.bytes_a_pixel(spec(5, 0.5))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory is Linux'")
@pytest.mark.parametrize(("classes", "scale"), [("1", "1"), ("5", "0.5"), ("5", "1")])
def test_the_largest_image_that_is_accepted_is_served_within_2_gb(classes, scale):
    found = served("0", classes, scale, "png", str(2 * 10**9))
    assert found["status"] == 200 and found["peak"] < 2 * 10**9 and found["pixels"] > 10_000_000
