"""The training of the click network: its loss by hand, that it learns, goes on and ends as a graph."""

import numpy as np
import pytest

from ss_poc.core.files import read_json
from ss_poc.networks.clicks import click_network
from ss_poc.synthetic import click_training
from ss_poc.synthetic.click_crops import Regions
from ss_poc.synthetic.click_export import write_graph
from ss_poc.synthetic.click_training import Plan, loss_of, train
from ss_poc.synthetic.surfaces import SIDE


@pytest.fixture(scope="module")
def regions(tmp_path_factory):
    """Two pictures of a bright block each, as `draw_region_files` would write them."""
    images, masks = np.full((2, SIDE, SIDE, 3), 90, np.uint8), np.zeros((2, SIDE, SIDE), bool)
    masks[0, 60:120, 80:200] = masks[1, 150:250, 30:90] = True
    images[masks] = 200
    path = tmp_path_factory.mktemp("regions") / "regions_0000.npz"
    np.savez(path, images=images, bits=np.stack([np.packbits(mask) for mask in masks]), owners=np.arange(2))
    return Regions([path])


def test_a_logit_of_0_everywhere_costs_what_chance_costs():
    """4 of 16 pixels: cross-entropy ln 2; Dice (2 * 2 + 1) / (4 + 8 + 1)."""
    target = np.zeros((1, 4, 4, 1), np.float32)
    target[0, 0] = 1
    loss = float(loss_of(target, np.zeros_like(target)))
    assert loss == pytest.approx(np.log(2) + 1 - 5 / 13, rel=1e-5)


def test_a_sure_and_right_answer_costs_nothing_even_where_nothing_is_meant():
    for target in (np.zeros((1, 4, 4, 1), np.float32), np.ones((1, 4, 4, 1), np.float32)):
        assert float(loss_of(target, 40 * target - 20)) == pytest.approx(0, abs=1e-4)


def test_a_training_that_was_interrupted_goes_on(tmp_path, monkeypatch, regions):
    monkeypatch.setattr(click_training, "JUDGED", 4)
    train(Plan("compact16", 2.0, 0, ((64, 1.0),)), regions, regions, tmp_path)
    first = read_json(tmp_path / "state.json")
    weights = train(Plan("compact16", first["seconds"] + 2.0, 0, ((64, 1.0),)), regions, regions, tmp_path)
    second = read_json(tmp_path / "state.json")
    assert second["step"] > first["step"] >= 1 and second["seconds"] > first["seconds"] >= 2.0
    network = click_network("compact16", 64, pretrained=False)
    network.set_weights(weights)


def test_the_graph_answers_as_the_network_in_half_the_size(tmp_path):
    import onnxruntime

    network = click_network("compact16", 64)
    write_graph(network, tmp_path / "model.onnx")
    inputs = np.random.default_rng(0).random((2, 64, 64, 7), np.float32)
    inputs[..., :3] *= 255
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: inputs})[0]
    logits = np.asarray(network(inputs))
    assert found.shape == (2, 64, 64, 1) and np.abs(found - 1 / (1 + np.exp(-logits))).max() < 0.01
    assert (tmp_path / "model.onnx").stat().st_size < 2.6 * network.count_params()
