"""A model whose answers can be told by hand, as a run on disk, made without training; and photographs for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from ss_poc.core.config import Rule
from ss_poc.core.files import sha256_file, write_json
from ss_poc.core.images import save_image
from ss_poc.core.model_spec import GRAPH_FILE, ModelSpec, write_spec
from ss_poc.core.rules_file import write_rules
from ss_poc.core.run import RunPaths

LABELS, COLORS, CATEGORY_IDS, SIZE_HW = ("bright", "dark"), ("#ff0000", "#0000ff"), (3, 8), (32, 64)


def make_run(result: Path, model_name: str = "v_1", proba: float = 0.5, gain: float = 255.0,
             scale: float = 0.0) -> RunPaths:
    """A run whose probability of "bright" is red / `gain`, and of "dark" 1 - red / `gain`.

    Args:
        result: folder of all runs.
        model_name: of this one.
        proba: threshold of both classes.
        gain: another one is another graph.
        scale: 0: photographs are squeezed into SIZE_HW; else they are cut into windows of it.
    """
    paths = RunPaths(result, "tiny", model_name)
    write_json(paths.run_json, {"status": "finished", "survey": {"largest_hw": SIZE_HW}})
    constants = {"red": np.array([0]), "gain": np.array(gain, np.float32), "one": np.array(1, np.float32)}
    graph = helper.make_graph([
        helper.make_node("Gather", ["image", "red"], ["level"], axis=3),
        helper.make_node("Div", ["level", "gain"], ["bright"]),
        helper.make_node("Sub", ["one", "bright"], ["dark"]),
        helper.make_node("Concat", ["bright", "dark"], ["probability"], axis=3)], "bright",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", *SIZE_HW, 3])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["N", *SIZE_HW, 2])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()])
    paths.export.mkdir(parents=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
              paths.export / GRAPH_FILE)
    write_spec(paths.export, ModelSpec("tiny", model_name, LABELS, COLORS, CATEGORY_IDS, SIZE_HW, "none",
                                       sha256_file(paths.export / GRAPH_FILE), scale))
    write_rules(paths.rules, [Rule(label, color, SIZE_HW, proba, dice=1.0)
                              for label, color in zip(LABELS, COLORS, strict=True)])
    return paths


def photograph(boxes: int) -> np.ndarray:
    """(32, 64, 3): red is 255, and 0 in so many boxes of 4x6, in a row: `boxes` objects of "dark", one of "bright"."""
    image = np.full((*SIZE_HW, 3), 255, np.uint8)
    for number in range(boxes):
        image[8:12, 8 * number + 1:8 * number + 7, 0] = 0
    return image


def make_photographs(folder: Path, count: int) -> list[str]:
    """Photographs with 0 to 3 boxes in turn, in two folders, every seventh one damaged; their names, in order."""
    names = [f"line-{number % 2}/사진 {number:03d}.png" for number in range(count)]
    for number, name in enumerate(names):
        save_image(folder / name, photograph(number % 4))
        if number % 7 == 6:
            (folder / name).write_bytes(b"no photograph")
    return sorted(names)
