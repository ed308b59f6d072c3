"""The optimiser: which variables get orthogonal updates, how large they are, and that it learns."""

import keras
import numpy as np
import pytest

from ss_poc.networks.muon import Muon, is_kernel, orthogonal

LR = 0.01


def stepped(shape, gradient, steps=1, layer="conv2d"):
    """What a variable of zeros is after steps with the same gradient."""
    with keras.name_scope(layer):
        variable = keras.Variable(np.zeros(shape, np.float32), name="kernel")
    optimizer = Muon(LR, weight_decay=0.0)
    optimizer.build([variable])
    for _ in range(steps):
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    return keras.ops.convert_to_numpy(variable)


@pytest.mark.parametrize("shape", [(12, 8), (8, 12), (8, 8), (300, 16)])
def test_singular_values_of_any_scale_come_near_one(shape):
    random = np.random.default_rng(0)
    left, _, right = np.linalg.svd(random.normal(size=shape), full_matrices=False)
    given = np.geomspace(0.01, 10, min(shape))  # a thousand to one
    found = keras.ops.convert_to_numpy(orthogonal(keras.ops.convert_to_tensor((left * given @ right).astype("f4"))))
    assert found.shape == shape
    np.testing.assert_array_less(np.linalg.svd(found, compute_uv=False)[:-1], 1.2)
    np.testing.assert_array_less(0.6, np.linalg.svd(found, compute_uv=False)[:-3])
    # The directions stay: u^T found v is a diagonal of those values.
    turned = left.T @ found @ right.T
    np.testing.assert_allclose(turned - np.diag(np.diag(turned)), 0, atol=1e-3)


def test_the_polynomial_is_that_of_the_paper():
    # A diagonal of two equal values: each is 1 / sqrt(2) after the division by the Frobenius norm.
    value = 2**-0.5
    for _ in range(5):
        value = 3.4445 * value - 4.7750 * value**3 + 2.0315 * value**5
    found = keras.ops.convert_to_numpy(orthogonal(keras.ops.convert_to_tensor(np.diag([7.0, 7.0]).astype("f4"))))
    np.testing.assert_allclose(found, np.diag([value, value]), atol=1e-4)


def test_no_gradient_is_no_step_and_no_nan():
    np.testing.assert_array_equal(stepped((3, 3, 4, 16), np.zeros((3, 3, 4, 16), "f4")), 0)


def test_a_kernel_gets_an_update_as_large_as_adamw_would():
    gradient = np.random.default_rng(0).normal(size=(3, 3, 16, 24)).astype("f4")
    step = -stepped(gradient.shape, gradient)
    matrix = step.reshape(144, 24)
    values = np.linalg.svd(matrix, compute_uv=False)
    # 0.2 sqrt(144) = 2.4 times the learning rate, times 0.68 to 1.13; so 0.2 a weight: 2.4 sqrt(24 / (144 * 24)) = 0.2.
    assert values.min() > 0.6 * 2.4 * LR and values.max() < 1.2 * 2.4 * LR
    assert np.sqrt((step**2).mean()) == pytest.approx(0.2 * LR, rel=0.25)


def test_a_gradient_a_thousand_times_as_large_makes_the_same_step():
    gradient = np.random.default_rng(1).normal(size=(1, 1, 16, 16)).astype("f4")
    np.testing.assert_allclose(stepped(gradient.shape, gradient), stepped(gradient.shape, 1000 * gradient), rtol=1e-3,
                               atol=1e-6)


@pytest.mark.parametrize("shape, kernel", [
    ((3, 3, 16, 24), True), ((1, 1, 8, 8), True), ((1, 1, 7, 16), False), ((3, 3, 4, 16), True),
    ((1, 1, 16, 5), False),
    ((3, 3, 96, 1), False),  # depthwise
    ((24,), False), ((16, 24), False),
])
def test_only_kernels_that_are_matrices_are_made_orthogonal(shape, kernel):
    assert is_kernel(shape) is kernel


@pytest.mark.parametrize("shape, layer", [((24,), "conv2d"), ((1, 1, 16, 5), "conv2d"), ((3, 3, 9, 1), "depthwise"),
                                          ((1, 1, 16, 11), "head"), ((3, 3, 16, 8), "final_conv")])
def test_everything_else_steps_as_adamw_does(shape, layer):
    # Adam's first step has the size of the learning rate and the gradient's sign.
    gradient = np.where(np.arange(np.prod(shape)).reshape(shape) % 2, 3.0, -0.5).astype("f4")
    np.testing.assert_allclose(stepped(shape, gradient, layer=layer), -LR * np.sign(gradient), rtol=1e-3)


def test_a_steady_gradient_keeps_its_direction_over_steps():
    gradient = np.random.default_rng(2).normal(size=(1, 1, 16, 8)).astype("f4")
    one, three = stepped(gradient.shape, gradient), stepped(gradient.shape, gradient, steps=3)
    np.testing.assert_allclose(three, 3 * one, rtol=1e-3, atol=1e-6)


def test_weights_decay_as_with_adamw():
    kernel = np.full((1, 1, 16, 16), 2.0, np.float32)
    variable = keras.Variable(kernel)
    optimizer = Muon(0.1, weight_decay=0.5)
    optimizer.build([variable])
    optimizer.apply([keras.ops.zeros((1, 1, 16, 16))], [variable])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), 2 - 2 * 0.1 * 0.5, rtol=1e-6)


def test_a_fit_makes_kernels_orthogonal_and_steps_the_head_as_adamw():
    image = keras.Input((8, 12, 3))
    body = keras.layers.Conv2D(16, 3, name="body", kernel_initializer="zeros", bias_initializer="ones")
    head = keras.layers.Conv2D(9, 1, name="head", kernel_initializer=keras.initializers.RandomNormal(seed=0))
    model = keras.Model(image, head(body(image)))
    model.compile(Muon(LR, weight_decay=0.0), loss="mse")
    random, before = np.random.default_rng(0), head.kernel.numpy()
    model.fit(random.normal(size=(2, 8, 12, 3)), random.normal(size=(2, 6, 10, 9)), batch_size=2, verbose=0)
    values = np.linalg.svd(body.kernel.numpy().reshape(27, 16), compute_uv=False)
    # As large as 0.2 sqrt(27) allows; the head passes on gradients of no more than 9 directions.
    assert (values > 0.5 * 0.2 * 27**0.5 * LR).sum() == 9 and values.max() < 1.2 * 0.2 * 27**0.5 * LR
    np.testing.assert_allclose(np.abs(head.kernel.numpy() - before), LR, rtol=1e-3)
