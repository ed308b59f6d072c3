"""ss_poc.optimising.export: what stands beside the network in the graph, and whether classes compete behind it."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from ss_poc.core.config import ChosenConfig
from ss_poc.core.rivals import compete
from ss_poc.core.run import Run, RunPaths, update_run
from ss_poc.data.dataset import load_trained
from ss_poc.inference.kept import maps_kept_in
from ss_poc.inference.predictor import Predictor
from ss_poc.networks.linear_probe import PROBE_FILE
from ss_poc.optimising.export import export
from ss_poc.optimising.probe_weight import WEIGHTS


@pytest.fixture
def again(run: RunPaths, labelled, tmp_path) -> RunPaths:
    """A copy of the run, and of its data set, that may be exported again."""
    shutil.copytree(labelled, tmp_path / labelled.name)
    paths = RunPaths(tmp_path / "result", run.img_dir_name, run.model_name)
    shutil.copytree(run.folder, paths.folder)
    return paths


def _asked(paths: RunPaths, exclusive: str) -> None:
    update_run(paths, config={**vars(Run.read(paths).config), "exclusive": exclusive})


def test_a_run_has_a_probe_and_says_how_much_it_counts(run):
    found = Run.read(run)
    assert found.config.features == "imagenet" and (run.model / PROBE_FILE).is_file()
    assert found.features["weight"] in WEIGHTS
    assert list(found.features["precision"]) == ["0", "0.25", "0.5", "1"]


def test_a_run_without_a_probe_is_exported_as_before(again):
    (again.model / PROBE_FILE).unlink()
    spec = export(again)
    assert Run.read(again).features == {} and spec.sha256 == Run.read(again).export["sha256"]


def test_classes_compete_where_the_user_says_so_and_kept_maps_are_those_of_the_new_graph(again, capsys):
    _asked(again, "yes")
    with maps_kept_in(again.maps) as maps:
        assert export(again, maps).exclusive
        predictor = Predictor.load(again.export, engine="onnxruntime")
        sample = load_trained(Run.read(again)).samples_of(Run.read(again).split.valid)[0]
        kept = maps.probability(predictor, sample.name, lambda: pytest.fail("it was not kept"))
        np.testing.assert_allclose(kept, predictor.probability(sample.image()), atol=1e-4)
    predictor.spec = replace(predictor.spec, exclusive=False)
    alone = predictor.probability(sample.image())
    np.testing.assert_allclose(kept, compete(alone.copy()), atol=1e-4)
    assert "compete on each photograph, as you asked" in capsys.readouterr().out


@pytest.mark.parametrize("asked", ["auto", "no"])
def test_classes_do_not_compete_where_few_photographs_are_labelled(again, asked):
    _asked(again, asked)
    labelled = [sample for sample in load_trained(Run.read(again)).samples if sample.classes]
    assert max(len(sample.classes) for sample in labelled) == 1 and len(labelled) < 20
    assert not export(again).exclusive
    assert "exclusive" not in (again.export / "model.json").read_text()


def test_an_earlier_run_knows_neither():
    config = ChosenConfig()
    assert (config.features, config.exclusive) == (None, "auto")
