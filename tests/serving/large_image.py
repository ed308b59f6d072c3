"""A child process: has a worker serve one image whose every pixel is marked, and prints what it answered and took.

    python large_image.py FOLDER MEGAPIXELS CLASSES SCALE FORMAT,… [BYTES OF MEMORY]

Megapixels of 0 stand for the largest image that is accepted. With a limit, the system refuses memory beyond it.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from served import encoded, running

from ss_poc.core.config import Rule
from ss_poc.core.files import sha256_file
from ss_poc.core.model_spec import GRAPH_FILE, ModelSpec, write_spec
from ss_poc.core.rules_file import RULES_JSON, write_rules

ROOT = Path(__file__).parents[2]
SIDE = 256


def make_model(folder: Path, classes: int, scale: float) -> None:
    """A graph that is 0.9 sure of every class at every pixel, with rules that take every step there is."""
    make, real = onnx.helper, onnx.TensorProto.FLOAT
    numbers = [make.make_tensor(name, real, [1], [value]) for name, value in (("zero", 0.0), ("sure", 0.9))]
    nodes = [make.make_node("ReduceMax", ["image", "axes"], ["grey"], keepdims=1),
             make.make_node("Mul", ["grey", "zero"], ["nothing"]), make.make_node("Add", ["nothing", "sure"], ["one"]),
             make.make_node("Concat", ["one"] * classes, ["found"], axis=3)]
    ends = [make.make_tensor_value_info(name, real, ["n", SIDE, SIDE, depth])
            for name, depth in (("image", 3), ("found", classes))]
    axes = make.make_tensor("axes", onnx.TensorProto.INT64, [1], [3])
    graph = make.make_graph(nodes, "sure", ends[:1], ends[1:], [*numbers, axes])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, str(folder / GRAPH_FILE))
    labels = tuple(f"class_{index}" for index in range(classes))
    write_spec(folder, ModelSpec("demo", "v_1", labels, ("#ff0000",) * classes, tuple(range(1, classes + 1)),
                                 (SIDE, SIDE), "none", sha256_file(folder / GRAPH_FILE), scale=scale))
    write_rules(folder / RULES_JSON, [Rule(label, "#ff0000", (SIDE, SIDE), 0.5, pad=1, reduce_size=4)
                                      for label in labels])


def photograph(pixels: int) -> bytes:
    """A JPEG of noise, which no format of an answer can make small."""
    side = int(pixels**0.5)
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    image = Image.new("RGB", (side, side))
    for top in range(0, side, 512):
        for left in range(0, side, 512):
            image.paste(Image.fromarray(noise), (left, top))
    return encoded(image, "JPEG")


def main(folder: Path, megapixels: float, classes: int, scale: float, kinds: list[str]) -> dict[str, Any]:
    make_model(folder, classes, scale)
    limit = {"SS_POC_MAX_PIXELS": "100000000"} if megapixels else {}
    with running(ROOT, folder=folder, SS_POC_MODEL=str(folder), SS_POC_TIMEOUT="500", **limit) as served:
        accepted = served.client.get("/info").json()["limits"]["pixels"]
        pixels = int(megapixels * 1e6) or accepted
        data, process = photograph(pixels), Path("/proc") / str(served.process.pid)
        before = status_of(process, "VmRSS")
        (process / "clear_refs").write_text("5")
        answers = [served.client.post(f"/predict?format={kind}", files={"image": ("photo.jpg", data)}, timeout=500)
                   for kind in kinds]
        peak = status_of(process, "VmHWM")
    objects = [item for kind, answer in zip(kinds, answers, strict=True) if kind == "json"
               for item in answer.json().get("objects", [])]
    return {"status": [answer.status_code for answer in answers], "marked": [item["area"] for item in objects],
            "pixels": int(pixels**0.5)**2, "peak": peak, "bytes_a_pixel": round((peak - before) / pixels, 1)}


def status_of(process: Path, name: str) -> int:
    return int((process / "status").read_text().split(f"{name}:")[1].split()[0]) * 1024


if __name__ == "__main__":
    if len(sys.argv) > 6:
        resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[6]), int(sys.argv[6])))
    print(json.dumps(main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]),
                          sys.argv[5].split(","))))
