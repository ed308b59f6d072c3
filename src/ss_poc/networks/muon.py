"""Muon for networks of convolutions: fewer than half of AdamW's steps to the same loss (docs/training-tried.md)."""

from __future__ import annotations

from typing import Any

from . import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)

import keras  # noqa: E402  isort: skip
from keras import ops  # noqa: E402  isort: skip

__all__ = ["Muon", "orthogonal"]

MOMENTUM = 0.95
# Makes an update as large as AdamW's, so that the same learning rate serves both (Liu et al. 2025, arXiv 2502.16982).
RMS = 0.2
# Of p(s) = a s + b s^3 + c s^5, which drives singular values in (0, 1] to between 0.68 and 1.13 in five turns.
QUINTIC, TURNS = (3.4445, -4.7750, 2.0315), 5
# A kernel with fewer inputs or outputs, a depthwise one for example, is no matrix worth the name.
LEAST_SIDE = 8
# Layers that give the logits, ours and segmentation-models': each class has a direction of its own there.
HEADS = {"head", "final_conv"}


class Muon(keras.optimizers.AdamW):
    """AdamW, whose updates of convolution kernels are made orthogonal (Jordan et al. 2024,
    kellerjordan.github.io/posts/muon): all directions are learned at one pace, not those of large gradients first.

    A kernel (h, w, in, out) counts as a matrix (h w in, out). Keras' own Muon leaves convolutions to AdamW.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One variable's step; Keras calls it."""
        index = self._get_variable_index(variable)
        # `variable` may be TensorFlow's, which does not know its layer.
        if not is_kernel(variable.shape) or HEADS & set(self._trainable_variables[index].path.split("/")):
            super().update_step(gradient, variable, learning_rate)
            return
        momentum = self._momentums[index]
        self.assign(momentum, MOMENTUM * momentum + gradient)
        ahead = ops.reshape(gradient + MOMENTUM * momentum, (-1, variable.shape[-1]))
        step = RMS * max(ahead.shape)**0.5 * orthogonal(ahead)
        self.assign_sub(variable, ops.cast(learning_rate, variable.dtype) * ops.reshape(step, variable.shape))


def is_kernel(shape: tuple[int, ...]) -> bool:
    """Whether a variable of this shape is a convolution's kernel, and a matrix."""
    return len(shape) == 4 and min(shape[0] * shape[1] * shape[2], shape[3]) >= LEAST_SIDE


def orthogonal(matrix: Any) -> Any:
    """Make a matrix U S V^T nearly orthogonal: about U V^T, with singular values of 0.68 to 1.13 but for those near 0.

    Newton-Schulz iteration on the small Gram matrix, which commutes with every polynomial of itself: for 1,728 x 192
    two fifths of the multiplications of iterating on the matrix.

    Args:
        matrix: (m, n) float32.

    Returns:
        (m, n) float32.
    """
    if matrix.shape[0] < matrix.shape[1]:
        return ops.transpose(orthogonal(ops.transpose(matrix)))
    a, b, c = QUINTIC
    matrix = matrix / (ops.norm(matrix) + 1e-7)
    gram = ops.matmul(ops.transpose(matrix), matrix)
    one = ops.eye(matrix.shape[1])
    product = one
    for _ in range(TURNS):
        factor = a * one + b * gram + c * ops.matmul(gram, gram)
        product = ops.matmul(product, factor)
        gram = ops.matmul(ops.matmul(factor, gram), factor)
    return ops.matmul(matrix, product)
