"""A child process: serves one image whose every pixel is marked, and prints its status and its peak memory in bytes.

    python large_image.py MEGAPIXELS CLASSES SCALE FORMAT [BYTES OF MEMORY]

Megapixels of 0 stand for the largest image that is accepted. With a limit, the system refuses memory beyond it.
"""

from __future__ import annotations

import asyncio
import io
import json
import resource
import sys
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from ss_poc.core.config import Rule, ServeConfig
from ss_poc.core.model_spec import ModelSpec
from ss_poc.inference.predictor import Predictor
from ss_poc.serving import memory
from ss_poc.serving.app import application
from ss_poc.serving.served import Served
from ss_poc.serving.state import ServiceState


def predictor_of(classes: int, scale: float) -> Predictor:
    labels, colors = tuple(f"class_{index}" for index in range(classes)), ("#ff0000",) * classes
    spec = ModelSpec("demo", "v_1", labels, colors, tuple(range(1, classes + 1)), (256, 256), "x", "", scale=scale)
    rules = [Rule(label, "#ff0000", (256, 256), 0.5, pad=1, reduce_size=4) for label in labels]
    return Predictor(spec, rules, lambda batch: np.full((*batch.shape[:3], classes), 0.9, np.float32))


async def main(megapixels: float, classes: int, scale: float, kind: str) -> dict[str, float]:
    config = ServeConfig(max_pixels=100_000_000, timeout=500) if megapixels else ServeConfig(timeout=500)
    state = ServiceState.of(config)
    served = Served(predictor_of(classes, scale), Path("."), {}, config)
    state.serve(served)
    pixels = int(megapixels * 1e6) or state.max_pixels
    width = int(pixels**0.5)
    file = io.BytesIO()
    Image.new("L", (width, pixels // width), 90).convert("RGB").save(file, "JPEG")
    data = file.getvalue()
    del file
    before = int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    Path("/proc/self/clear_refs").write_text("5")
    transport = httpx.ASGITransport(application(state))
    async with httpx.AsyncClient(transport=transport, base_url="http://service", timeout=None) as client:
        answer = await client.post(f"/predict?format={kind}", files={"image": ("photo.jpg", data)})
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
    return {"status": answer.status_code, "pixels": width * (pixels // width), "peak": peak, "before": before,
            "bytes_a_pixel": round((peak - before) / pixels, 1)}


if __name__ == "__main__":
    if len(sys.argv) > 5:
        memory.memory_limit = lambda: int(sys.argv[5])  # as a container of that size would say
        resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[5]), int(sys.argv[5])))
    print(json.dumps(asyncio.run(main(float(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]))))
