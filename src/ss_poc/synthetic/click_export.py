"""The click network as the graph in the package: weights in 16 bits, half of the size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..networks.onnx_file import convert

__all__ = ["halve_weights", "write_graph"]

# Smaller arrays stay: shapes, axes, and constants that the graph calculates with.
LEAST_HALVED = 256


def write_graph(model: Any, path: Path) -> None:
    """Write a click network, whose logits become probabilities, as an ONNX graph of 16-bit weights."""
    import keras
    import onnx

    whole = keras.Model(model.input, keras.layers.Activation("sigmoid", name="probability")(model.output))
    whole(np.zeros((1, *model.input.shape[1:]), np.float32))  # Keras exports what was called
    convert(whole, path)
    graph = onnx.load(path)
    halve_weights(graph)
    onnx.save(graph, path)


def halve_weights(graph: Any) -> None:
    """Store the large float32 weights of an ONNX model as float16; the graph casts them back when it is loaded.

    Args:
        graph: `onnx.ModelProto`, changed in place. What is calculated with stays float32.
    """
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for weight in graph.graph.initializer:
        if weight.data_type == TensorProto.FLOAT and np.prod(weight.dims) >= LEAST_HALVED:
            name = weight.name
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), name + "_half"))
            casts.append(helper.make_node("Cast", [name + "_half"], [name], to=TensorProto.FLOAT))
    for number, cast in enumerate(casts):
        graph.graph.node.insert(number, cast)
