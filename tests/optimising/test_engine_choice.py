"""Engines and the choice among them: what may serve, what is refused, and what happens on a host without it."""

from __future__ import annotations

import json
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import disk, stage

from ss_poc.core.errors import ArtifactError, EngineError
from ss_poc.core.files import write_json
from ss_poc.core.images import decode_image
from ss_poc.core.model_spec import read_spec
from ss_poc.core.run import RunPaths, read_run
from ss_poc.inference import engines
from ss_poc.inference.engines import load_engine
from ss_poc.inference.predictor import Predictor
from ss_poc.optimising.engine_choice import Candidate, _rows, acceptable, compared, engine_table, spread


@pytest.fixture(scope="module")
def optimised(run, labelled) -> RunPaths:
    """The run with its engines measured, few times each."""
    shutil.copytree(run.folder, run.folder.with_name("v_opt"))
    stage("optimise", "--img_dir_name", "tiny", "--model_name", "v_opt", "--rounds", "3", cwd=labelled.parent)
    return RunPaths(run.result, "tiny", "v_opt")


@pytest.mark.parametrize(("scores", "reference", "kept", "says"), [
    ([0.9, 0.8], [0.9, 0.8], True, "+0.0000"),
    ([0.91, 0.79], [0.9, 0.8], True, "mean Dice"),            # nothing lost on the whole, 0.01 of a class
    ([0.894, 0.8], [0.9, 0.8], True, "-0.0030"),
    ([0.89, 0.798], [0.9, 0.8], False, "0.0060 of mean Dice"),
    ([0.875, 0.82], [0.9, 0.8], False, "0.0250 of a class' Dice")])
def test_a_candidate_may_cost_half_a_hundredth_of_the_mean_and_two_of_a_class(scores, reference, kept, says):
    found, why = acceptable(np.array(scores), np.array(reference))
    assert found == kept and says in why


@pytest.mark.parametrize(("images", "size_hw", "seen"), [
    (300, (64, 96), 300), (301, (64, 96), 151),
    (60, (640, 960), 2)])  # windows of 64 and 96 share 16 and 24: 13 in each direction, 10140 in all, so every 34th
def test_engines_are_compared_on_300_windows_that_show_every_class(run, images, size_hw, seen):
    predictor = Predictor.load(run.export, run.rules)
    samples = [SimpleNamespace(name=f"{number:04}", size_hw=size_hw, classes=frozenset({number % 2}))
               for number in range(images)]
    found = compared(samples, predictor)
    assert len(found) == seen and {channel for sample in found for channel in sample.classes} == {0, 1}


def test_engines_are_compared_on_a_class_that_only_one_image_shows(run):
    predictor = Predictor.load(run.export, run.rules)
    samples = [SimpleNamespace(name=f"{number:04}", size_hw=(64, 96), classes=frozenset({0}))
               for number in range(3000)]
    samples[500].classes = frozenset({0, 1})  # sorted to place 2999, and every tenth is taken: 0, 10, ... 2990
    found = compared(samples, predictor)
    assert len(found) == 301 and found[-1] is samples[500]


@pytest.mark.parametrize(("count", "chosen"), [(0, ""), (1, "a"), (3, "acf"), (6, "abcefd"), (10, "abcefdg")])
def test_ranges_come_from_images_with_objects_evenly_then_from_others(count, chosen):
    samples = [SimpleNamespace(name=name, regions=() if name in "dg" else (1,)) for name in "abcdefg"]
    assert [sample.name for sample in spread(samples, count)] == [*chosen]


def test_every_engine_gives_what_onnx_runtime_gives(run, labelled):
    image = decode_image(labelled / "01.png").astype(np.float32)[None]
    expected = load_engine("onnxruntime", run.export)(image)
    assert np.abs(load_engine("openvino", run.export, threads=1)(image) - expected).max() < 1e-4
    both = load_engine("openvino", run.export)(np.concatenate([image, image]))
    assert both.shape == (2, 64, 96, 2) and np.array_equal(both[0], both[1])


def test_table_names_every_engine_and_says_why(optimised):
    written = read_run(optimised)
    rows = {row["engine"]: row for row in written["engines"]}
    assert set(rows) == {"onnxruntime", "openvino", "openvino-bf16", "openvino-int8"}
    assert all(row["why"] for row in rows.values()) and rows["onnxruntime"]["kept"]
    for row in rows.values():
        if row["p50_ms"] is not None:
            assert 0 < row["p50_ms"] <= row["p95_ms"]
            assert set(row["dice"]) == (set() if "not judged" in row["why"] else {"scratch", "pit"})
    passed = [row for row in rows.values() if row["kept"]]
    assert written["engine"] == min(passed, key=lambda row: row["p50_ms"])["engine"]


def test_what_was_not_measured_is_a_dash_in_the_table():
    table = engine_table([Candidate("onnxruntime", True, "the reference", 16.4, 20.1, 60.8, dice={"pit": 0.5}),
                          Candidate("openvino", False, "it is not installed")])
    assert "nan" not in table
    assert [line.split()[:7] for line in table.splitlines()[1:]] == [
        ["onnxruntime", "16.4", "20.1", "60.8", "-", "0.5000", "yes"], ["openvino", "-", "-", "-", "-", "-", "no"]]
    columns = zip(table.splitlines(), (" kept", " yes ", " no "), strict=True)
    assert len({line.index(found) for line, found in columns}) == 1


def test_spec_names_the_engines_and_checks_their_files(optimised):
    spec = read_spec(optimised.export)
    assert spec.engines[0] == read_run(optimised)["engine"] and "onnxruntime" in spec.engines
    names = {path.name for path in optimised.export.iterdir()}
    assert names == {"model.onnx", "model.json", *spec.twins}
    assert ("openvino-int8" in spec.engines) == bool(spec.twins)


def test_a_changed_int8_graph_is_refused(optimised, tmp_path):
    folder = tmp_path / "export"
    shutil.copytree(optimised.export, folder)
    spec = json.loads((folder / "model.json").read_text())
    (folder / "model-int8.bin").write_bytes(b"other")
    spec["twins"] = {"model-int8.bin": "0" * 64}
    write_json(folder / "model.json", spec)
    with pytest.raises(ArtifactError, match="model-int8.bin has the checksum"):
        Predictor.load(folder)


def test_a_disk_too_full_for_the_int8_graph_costs_that_engine_alone(run, labelled, tmp_path):
    graph = (run.export / "model.onnx").stat().st_size
    shutil.copytree(labelled, tmp_path / labelled.name)
    held = sum(path.stat().st_size for path in run.folder.rglob("*"))
    with disk(tmp_path / "disk", (held + 2 * graph >> 10) + 4096):
        here = RunPaths(tmp_path / "disk", "tiny", "v_1")
        shutil.copytree(run.folder, here.folder)
        # A copy of the graph fits, its int8 form does not.
        filler = shutil.disk_usage(here.folder).free - graph - graph // 8
        (tmp_path / "disk/filler").write_bytes(bytes(filler))
        stage("optimise", "--result", str(here.result), "--img_dir_name", "tiny", "--model_name", "v_1", "--rounds",
              "3", cwd=labelled.parent)
        rows = {row["engine"]: row for row in read_run(here)["engines"]}
        assert not rows["openvino-int8"]["kept"] and "is the disk full?" in rows["openvino-int8"]["why"]
        assert rows["onnxruntime"]["kept"] and read_spec(here.export).twins == {}
        assert {path.name for path in here.export.iterdir()} == {"model.onnx", "model.json"}


def test_an_engine_can_be_forced_and_is_then_served_first(optimised, labelled):
    done = stage("optimise", "--img_dir_name", "tiny", "--model_name", "v_opt", "--rounds", "3", "--engine",
                 "onnxruntime", cwd=labelled.parent)
    assert "served by onnxruntime, as you asked" in done.stdout
    assert read_run(optimised)["engine_settings"] == {"engine": "onnxruntime", "rounds": 3}
    assert read_spec(optimised.export).engines[0] == "onnxruntime"
    assert Predictor.load(optimised.export, optimised.rules).engine == "onnxruntime"


def judged(seconds: dict[str, float], dices: dict[str, list[float]], asked: str | None = None) -> dict[str, Candidate]:
    """Rows for engines that take so many seconds and give these Dice."""
    looked = []

    def of(engine: str) -> np.ndarray:
        looked.append(engine)
        return np.array(dices[engine])

    judge = SimpleNamespace(dices=of, megabytes=lambda engine: 2.0, spec=SimpleNamespace(labels=("pit", "scratch")))
    rows = {row.engine: row for row in _rows({name: [value] * 3 for name, value in seconds.items()}, asked, judge)}
    assert sorted(looked) == sorted(name for name, row in rows.items() if row.dice)
    return rows


def test_engines_are_judged_by_speed_until_one_is_as_good_as_onnx_runtime():
    good = [0.9, 0.8]
    dices = {"onnxruntime": good, "openvino-int8": [0.9, 0.7], "openvino-bf16": good, "openvino": good}
    rows = judged({"onnxruntime": 0.03, "openvino": 0.025, "openvino-bf16": 0.02, "openvino-int8": 0.01}, dices)
    assert list(rows) == ["openvino-int8", "openvino-bf16", "openvino", "onnxruntime"]
    assert [row.kept for row in rows.values()] == [False, True, False, True]
    assert "0.0500 of mean Dice" in rows["openvino-int8"].why and "not judged" in rows["openvino"].why
    assert rows["openvino-bf16"].p50_ms == pytest.approx(20)
    assert rows["openvino-bf16"].dice == {"pit": 0.9, "scratch": 0.8}


def test_what_is_slower_than_onnx_runtime_is_judged_where_it_is_asked_for():
    dices = {"onnxruntime": [0.9, 0.8], "openvino": [0.9, 0.5], "openvino-int8": [0.9, 0.8]}
    seconds = {"onnxruntime": 0.01, "openvino": 0.02, "openvino-int8": 0.03}
    assert [bool(row.dice) for row in judged(seconds, dices).values()] == [True, False, False]
    rows = judged(seconds, dices, asked="openvino")
    assert "of mean Dice" in rows["openvino"].why and not rows["openvino-int8"].dice


def test_a_host_without_the_preferred_engine_falls_back_and_says_so(run, tmp_path, monkeypatch):
    folder = tmp_path / "export"
    shutil.copytree(run.export, folder)
    spec = json.loads((folder / "model.json").read_text())
    write_json(folder / "model.json", {**spec, "engines": ["openvino", "onnxruntime"]})
    monkeypatch.setitem(sys.modules, "openvino", None)  # importing it now fails as if it were not installed
    predictor = Predictor.load(folder)
    assert predictor.engine == "onnxruntime"
    assert len(predictor.refused) == 1 and "openvino cannot be used" in predictor.refused[0]


def test_without_any_engine_it_says_what_to_install(run, monkeypatch):
    for name in ("openvino", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EngineError, match="no engine can run") as caught:
        Predictor.load(run.export)
    assert "pip install" in caught.value.fix


def test_bfloat16_needs_a_processor_that_has_it(run, monkeypatch):
    import openvino

    class Plain:
        def get_property(self, device: str, name: str) -> list[str]:
            return ["FP32", "INT8"]

    monkeypatch.setattr(openvino, "Core", Plain)
    with pytest.raises(EngineError, match="does not multiply bfloat16"):
        engines.load_engine("openvino-bf16", run.export)


@pytest.mark.parametrize("name", ["tensorrt", "", "OPENVINO"])
def test_an_unknown_engine_is_refused(run, name):
    with pytest.raises(EngineError, match="not known"):
        load_engine(name, run.export)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_file_that_is_no_graph_is_refused(tmp_path, name):
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(EngineError, match="cannot be loaded"):
        load_engine(name, tmp_path)


def test_threads_may_share_an_engine(run, labelled):
    from concurrent.futures import ThreadPoolExecutor

    images = [decode_image(labelled / f"{number:02d}.png").astype(np.float32)[None] for number in range(8)]
    for name in ("onnxruntime", "openvino"):
        engine = load_engine(name, run.export, threads=1)
        alone = [engine(image) for image in images]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(engine, images * 3))
        for number, found in enumerate(together):
            np.testing.assert_allclose(found, alone[number % 8], atol=1e-6)
