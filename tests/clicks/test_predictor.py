"""The network in the package: what it answers, and what it refuses."""

import numpy as np
import pytest

from ss_poc.clicks.guidance import Box, Click
from ss_poc.clicks.look import SIZE
from ss_poc.clicks.predictor import FOLDER, ClickPredictor
from ss_poc.core.errors import EngineError, RequestError


@pytest.fixture(scope="module")
def predictor():
    return ClickPredictor.load(threads=1)


def with_block(height=200, width=300, top=60, left=120, side=50, grey=110, block=190):
    """A bright block on a grey, noisy surface, and its mask."""
    noise = np.random.default_rng(0).normal(0, 4, (height, width, 1))
    image = np.repeat(np.full((height, width, 1), grey) + noise, 3, axis=-1)
    mask = np.zeros((height, width), bool)
    mask[top:top + side, left:left + side] = True
    image[mask] += block - grey
    return np.clip(image, 0, 255).astype(np.uint8), mask


def iou(found, true):
    return (found & true).sum() / (found | true).sum()


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_one_click_on_a_bright_block_finds_it(engine):
    image, mask = with_block()
    predictor = ClickPredictor.load(engine, threads=1)
    predictor.set_image(image)
    found = predictor.predict([Click(145, 85)])
    assert found.mask.shape == found.probability.shape == (200, 300)
    assert found.mask.dtype == bool and found.probability.dtype == np.float32
    assert found.probability.min() >= 0 and found.probability.max() <= 1
    assert iou(found.mask, mask) >= 0.8


def test_a_box_alone_finds_it(predictor):
    image, mask = with_block()
    predictor.set_image(image)
    assert iou(predictor.predict([], Box(118, 58, 172, 112)).mask, mask) >= 0.8


def test_a_block_at_the_border_of_a_narrow_photograph_is_found(predictor):
    image, mask = with_block(height=90, width=400, top=40, left=0)
    predictor.set_image(image)
    assert iou(predictor.predict([Click(25, 65)]).mask, mask) >= 0.8


def test_a_small_block_on_a_large_photograph_is_as_sharp(predictor):
    image, mask = with_block(height=1500, width=2000, top=700, left=900, side=30)
    predictor.set_image(image)
    assert iou(predictor.predict([Click(915, 715)]).mask, mask) >= 0.8


def test_200_clicks_are_answered(predictor):
    image, mask = with_block()
    predictor.set_image(image)
    places = np.random.default_rng(0).integers((0, 0), (300, 200), (200, 2)).tolist()
    clicks = [Click(x, y, bool(mask[y, x])) for x, y in places]
    first = predictor.predict(clicks)
    again = predictor.predict(clicks, previous=first.probability)
    assert iou(again.mask, mask) >= 0.8


def test_two_photographs_do_not_mix(predictor):
    image, mask = with_block()
    predictor.set_image(image)
    first = predictor.predict([Click(145, 85)]).mask
    predictor.set_image(with_block(height=120, width=90, top=10, left=10)[0])
    assert predictor.predict([Click(30, 30)]).mask.shape == (120, 90)
    predictor.set_image(image)
    assert np.array_equal(predictor.predict([Click(145, 85)]).mask, first)


@pytest.mark.parametrize("click", [Click(300, 10), Click(10, 200), Click(-1, 5), Click(5, -0.5)])
def test_a_click_outside_of_the_photograph_is_refused(predictor, click):
    predictor.set_image(with_block()[0])
    with pytest.raises(RequestError) as error:
        predictor.predict([Click(145, 85), click])
    assert f"({click.x:g}, {click.y:g})" in str(error.value) and "x from 0 to 299, y from 0 to 199" in str(error.value)
    assert error.value.fix and error.value.status == 400


@pytest.mark.parametrize("box", [Box(10, 10, 10, 40), Box(40, 40, 10, 10), Box(300, 0, 320, 20), Box(-9, -9, 0, 0)])
def test_a_box_without_a_pixel_of_the_photograph_is_refused(predictor, box):
    predictor.set_image(with_block()[0])
    with pytest.raises(RequestError, match="a box from"):
        predictor.predict([], box)


def test_a_box_that_reaches_beyond_the_photograph_is_cut_off(predictor):
    image, mask = with_block(top=150, left=250)
    predictor.set_image(image)
    assert iou(predictor.predict([], Box(247, 147, 330, 240)).mask, mask) >= 0.8


@pytest.mark.parametrize("clicks", [[], [Click(5, 5, False)]])
def test_nothing_positive_is_refused(predictor, clicks):
    predictor.set_image(with_block()[0])
    with pytest.raises(RequestError, match="none of them positive"):
        predictor.predict(clicks)


def test_a_click_before_any_photograph_is_refused():
    with pytest.raises(RequestError, match="no photograph"):
        ClickPredictor.load(threads=1).predict([Click(1, 1)])


def test_an_answer_of_another_photograph_is_refused(predictor):
    predictor.set_image(with_block()[0])
    with pytest.raises(RequestError, match=r"\(10, 20\)"):
        predictor.predict([Click(1, 1)], previous=np.zeros((10, 20), np.float32))


def test_an_unknown_engine_is_refused():
    with pytest.raises(EngineError):
        ClickPredictor.load("abacus")


def test_the_graph_has_one_input_and_one_output_and_is_small():
    import onnxruntime

    session = onnxruntime.InferenceSession(FOLDER / "model.onnx", providers=["CPUExecutionProvider"])
    (given,), (answer,) = session.get_inputs(), session.get_outputs()
    assert given.shape[1:] == [SIZE, SIZE, 7] and answer.shape[1:] == [SIZE, SIZE, 1]
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 6e6
    probability = session.run(None, {given.name: np.zeros((2, SIZE, SIZE, 7), np.float32)})[0]
    assert probability.shape == (2, SIZE, SIZE, 1) and np.isfinite(probability).all()
