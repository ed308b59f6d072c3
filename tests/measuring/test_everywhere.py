"""Line, predict and service judge by one function: the same photographs have the same verdicts and measurements."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import bright_model
import httpx
import pyarrow.parquet as parquet
import pytest
from line_service import Asked, asked
from lines import Process, rows, until_so, yaml_of
from served import free_port

from ss_poc.bulk.command import main
from ss_poc.core.errors import ArtifactError, ConfigError
from ss_poc.core.images import save_image
from ss_poc.line.settings import read_settings

# Boxes are 4 x 6 and lie at x = 1, 9, 17, …; the region ends at 32 and ignores what is left of 8.
RULES = """\
region: [[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]]
ignore: [[[0, 0], [0.125, 0], [0.125, 1], [0, 1]]]
mm_per_pixel: 0.5
classes:
  bright: {}
  dark: {total_area: {warn: 5}, count: {reject: 2}, length: {reject: 4}}
"""
BOXES = {"none": 0, "ignored": 1, "one": 2, "two": 3, "three": 4}
VERDICTS = {"none": "accept", "ignored": "accept", "one": "warn", "two": "warn", "three": "reject"}


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A run, photographs with so many boxes, and a folder of rules."""
    folder = tmp_path_factory.mktemp("everywhere")
    bright_model.make_run(folder / "result")
    for name, boxes in BOXES.items():
        save_image(folder / "photos" / f"{name}.png", bright_model.photograph(boxes))
    (folder / "rules").mkdir()
    (folder / "rules" / "press.yaml").write_text(RULES)
    return folder


@pytest.fixture(scope="module")
def service(work) -> Iterator[Asked]:
    with asked(free_port(), work / "rules", work / "result" / "tiny" / "segment" / "v_1" / "export") as found:
        yield found


def predict(work: Path, output: str, *more: str, rules: str | None = "rules/press.yaml") -> Path:
    main([str(work / "photos"), "--img_dir_name", "tiny", "--result", str(work / "result"), "--engine", "onnxruntime",
          "--output", str(work / output), *(["--rules", str(work / rules)] if rules else []), *more])
    return work / output


def ask(service: Asked, path: Path, query: str = "?rules=press") -> httpx.Response:
    return httpx.post(f"{service.url}/predict{query}", content=path.read_bytes(), trust_env=False,
                      headers={"Content-Type": "image/png"})


def test_line_predict_and_service_give_the_same_verdicts_reasons_and_measurements(work, service, tmp_path, capsys):
    found = {row["image"]: row for row in parquet.read_table(predict(work, "out") / "predictions.parquet").to_pylist()
             if row["label"] == "dark"}
    assert "5 images, 5 with a defect, 2 accept, 2 warn, 1 reject, 0 not read" in capsys.readouterr().out
    with Process(yaml_of(tmp_path, service, f"rules: {work / 'rules' / 'press.yaml'}\n")):
        for name in BOXES:
            shutil.copy(work / "photos" / f"{name}.png", tmp_path / "in")
        until_so(lambda: len(rows(tmp_path)) == len(BOXES))
    parts = {part.name: part for part in rows(tmp_path)}
    for name, verdict in VERDICTS.items():
        row, part = found[f"{name}.png"], parts[f"{name}.png"]
        answer = ask(service, work / "photos" / f"{name}.png").json()["rules"]
        assert answer["name"] == "press"
        assert row["judgement"] == part.verdict == answer["verdict"] == verdict
        assert json.loads(row["reasons"]) == list(part.reasons) == answer["reasons"]
        measured = [item for item in answer["measurements"] if item["label"] == "dark"]
        assert [item for item in part.measurements if item["label"] == "dark"] == measured
        assert ([json.loads(row["measurements"])] if row["measurements"] else []) == measured
    # Two boxes of 24 pixels of a quarter of a square millimetre; 6 pixels are 3 mm.
    assert parts["two.png"].reasons == ("dark: total area 12 mm² is above 5 mm² (warn)",)
    assert [item["length"] for item in parts["two.png"].measurements[-1]["each"]] == pytest.approx([3, 3], abs=0.5)
    assert parts["three.png"].found["dark"] == (3, 72)
    assert parts["three.png"].message()["measurements"] == list(parts["three.png"].measurements)


def test_predict_writes_verdicts_and_measurements_as_csv_and_json(work):
    folder = predict(work, "out")
    table = list(csv.reader((folder / "verdicts.csv").open(encoding="utf-8")))
    assert table[0] == ["image", "verdict", "reasons"]
    assert {row[0]: row[1] for row in table[1:]} == {f"{name}.png": verdict for name, verdict in VERDICTS.items()}
    measured = list(csv.DictReader((folder / "measurements.csv").open(encoding="utf-8")))
    one = [row for row in measured if (row["image"], row["label"]) == ("one.png", "dark")]
    assert len(one) == 1 and (one[0]["unit"], float(one[0]["area"])) == ("mm", 6.0)
    assert [one[0][name] for name in ("x", "y", "bbox_width", "bbox_height")] == ["9", "8", "6", "4"]
    coco = json.loads((folder / "coco.json").read_text())
    images = {item["file_name"]: item for item in coco["images"]}
    assert images["three.png"]["verdict"] == "reject" and len(images["three.png"]["reasons"]) == 2
    assert any("measurements" in item for item in coco["annotations"])


def test_shards_joined_are_what_one_run_writes_and_other_rules_are_refused(work):
    whole = predict(work, "out")
    for shard in ("1/2", "2/2"):
        predict(work, "shards", "--shard", shard)
    main(["collect", str(work / "shards")])
    for name in ("verdicts.csv", "measurements.csv", "coco.json"):
        assert (work / "shards" / name).read_bytes() == (whole / name).read_bytes()
    (work / "rules" / "other.yaml").write_text("mm_per_pixel: 2")
    try:
        with pytest.raises(ArtifactError, match="judged_by"):
            predict(work, "shards", "--shard", "1/2", rules="rules/other.yaml")
    finally:
        (work / "rules" / "other.yaml").unlink()


def test_parts_of_an_earlier_version_are_joined(work):
    predict(work, "earlier", "--shard", "1/1", rules=None)
    path = work / "earlier" / "parts" / "part-00001-of-00001.parquet"
    table = parquet.read_table(path).drop_columns(["judgement", "reasons", "measurements"])
    about = json.loads(table.schema.metadata[b"ss_poc"])
    del about["maker"]["judged_by"]
    parquet.write_table(table.replace_schema_metadata({b"ss_poc": json.dumps(about)}), path)
    assert main(["collect", str(work / "earlier")]) == 0
    predict(work, "now", "--shard", "1/1", rules=None)
    main(["collect", str(work / "now")])
    for name in ("coco.json", "rle.csv"):
        assert (work / "earlier" / name).read_bytes() == (work / "now" / name).read_bytes()


def test_without_rules_nothing_is_judged(work, service):
    predict(work, "out")
    predict(work, "plain", rules=None)
    assert not (work / "plain" / "verdicts.csv").exists()
    assert "verdict" not in json.loads((work / "plain" / "coco.json").read_text())["images"][0]
    table = parquet.read_table(work / "plain" / "predictions.parquet")
    assert {row["judgement"] for row in table.to_pylist()} == {None}
    overlays = [work / folder / "overlay" / "one.png.jpg" for folder in ("plain", "out")]
    assert overlays[0].read_bytes() != overlays[1].read_bytes()  # with rules it shows region and figures
    assert "rules" not in ask(service, work / "photos" / "one.png", "").json()


def test_predict_refuses_rules_for_classes_that_the_model_does_not_know(work):
    (work / "dents.yaml").write_text("classes: {dent: {}}")
    with pytest.raises(ConfigError, match=r"dents\.yaml has limits for dent") as caught:
        predict(work, "no", rules="dents.yaml")
    assert "bright, dark" in caught.value.expected
    with pytest.raises(ConfigError, match="rules and rank"):
        predict(work, "no", "--rank")


def test_the_rules_of_a_line_are_checked_with_the_rest_of_its_yaml(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "bad.yaml").write_text("mm_per_pixel: 0\nclases: {}\n")
    text = "line: press 4\nstate: state\nsources:\n  - {type: folder, name: a, path: in}\nrules:"
    path = tmp_path / "line.yaml"
    for rules, expected in ((" bad.yaml", ("line 5: rules", "bad.yaml has 2 errors", "line 2: clases is not known")),
                            (" nowhere.yaml", ("line 5: rules is", "expected a file that is there")),
                            ("\n  classes:\n    dark: {length: {warn: 3, reject: 2}}\n  mm_per_pixel: x\n",
                             ("line 8: rules.mm_per_pixel is 'x'",)),
                            ("\n  classes:\n    dark: {length: {warn: 3, reject: 2}}\n",
                             ("line 7: rules.classes.dark.length warns above 3",))):
        path.write_text(text + rules)
        with pytest.raises(ConfigError) as caught:
            read_settings(path, {})
        assert "line 1: line is 'press 4'" in str(caught.value)
        for part in expected:
            assert part in str(caught.value), caught.value
    (tmp_path / "right.yaml").write_text(RULES)
    path.write_text(text.replace("press 4", "press-4") + " right.yaml")
    assert read_settings(path, {}).rules.mm_per_pixel == 0.5
    path.write_text(text.replace("press 4", "press-4") + "\n" + "".join(f"  {line}\n" for line in RULES.splitlines()))
    assert read_settings(path, {}).rules == read_settings(path, {}).rules
    assert read_settings(path, {}).rules.classes["dark"].count.reject == 2
