"""EfficientNet-Lite0 written down in NumPy from its paper and tables, without a layer of Keras: what ours must give."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

# Blocks, kernel, stride, widening.
TABLE = ((1, 3, 1, 1), (2, 3, 2, 6), (2, 5, 2, 6), (3, 3, 2, 6), (3, 5, 1, 6), (4, 5, 2, 6), (1, 3, 1, 6))


def convolved(x: np.ndarray, kernel: np.ndarray, stride: int, each: bool = False) -> np.ndarray:
    """(h, w, C) by a kernel (out, in, k, k) with TensorFlow's SAME padding: the odd row of zeros goes below."""
    side, out_hw = kernel.shape[2], [-(-length // stride) for length in x.shape[:2]]
    padding = [max((after - 1) * stride + side - before, 0) for after, before in zip(out_hw, x.shape[:2], strict=True)]
    padded = np.pad(x, [(zeros // 2, zeros - zeros // 2) for zeros in padding] + [(0, 0)])
    total = np.zeros((*out_hw, kernel.shape[0]))
    for row in range(side):
        for column in range(side):
            seen = padded[row:row + (out_hw[0] - 1) * stride + 1:stride,
                          column:column + (out_hw[1] - 1) * stride + 1:stride]
            total += seen * kernel[:, 0, row, column] if each else seen @ kernel[:, :, row, column].T
    return total


def normalised(x: np.ndarray, weights: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    scale = weights[f"{name}.weight"] / np.sqrt(weights[f"{name}.running_var"] + 1e-3)
    return (x - weights[f"{name}.running_mean"]) * scale + weights[f"{name}.bias"]


def block_outputs(image: np.ndarray, weights: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """What each of the 16 blocks gives for (h, w, 3) pixels in 0..255; weights are named as in the PyTorch file."""
    x = np.clip(normalised(convolved((image - 127.0) / 128.0, weights["_conv_stem.weight"], 2), weights, "_bn0"), 0, 6)
    found: list[np.ndarray] = []
    for blocks, _side, stride, wider in TABLE:
        for place in range(blocks):
            name, y = f"_blocks.{len(found)}.", x
            if wider > 1:
                y = np.clip(normalised(convolved(y, weights[f"{name}_expand_conv.weight"], 1), weights,
                                       f"{name}_bn0"), 0, 6)
            y = convolved(y, weights[f"{name}_depthwise_conv.weight"], 1 if place else stride, each=True)
            y = np.clip(normalised(y, weights, f"{name}_bn1"), 0, 6)
            y = normalised(convolved(y, weights[f"{name}_project_conv.weight"], 1), weights, f"{name}_bn2")
            x = x + y if place else y
            found.append(x)
    return found


def class_probabilities(image: np.ndarray, weights: Mapping[str, np.ndarray]) -> np.ndarray:
    """(1000,) probabilities of ImageNet's classes."""
    x = convolved(block_outputs(image, weights)[-1], weights["_conv_head.weight"], 1)
    x = np.clip(normalised(x, weights, "_bn1"), 0, 6).mean(axis=(0, 1))
    logits = weights["_fc.weight"] @ x + weights["_fc.bias"]
    odds = np.exp(logits - logits.max())
    return odds / odds.sum()
