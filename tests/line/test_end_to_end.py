"""A line beside a real service with a trained model: folder → service → archive, csv, folder and broker."""

from __future__ import annotations

import json
import shutil

import cv2
from conftest import stage
from lines import Process, until_so
from mosquitto import broker, listening
from served import running
from sqlalchemy import create_engine

from ss_poc.line.history import Query, search


def test_verdicts_of_a_line_are_those_of_predict_and_every_sink_has_them_once(bento, run, labelled, tmp_path):
    here = labelled.parent
    stage("predict", "tiny", "--img_dir_name", "tiny", "--model_name", "v_1", cwd=here)
    document = json.loads(next((run.folder / "prediction").rglob("*.json")).read_text())
    names = {image["id"]: image["file_name"] for image in document["images"]}
    rejected = {names[annotation["image_id"]] for annotation in document["annotations"]}
    (tmp_path / "in").mkdir()
    with running(bento) as service, broker(tmp_path / "broker") as bus, listening(bus.port, "t/parts") as heard:
        (tmp_path / "line.yaml").write_text(
            f"line: press\nstate: state\nservice: {{url: 'http://127.0.0.1:{service.port}'}}\n"
            "sources: [{type: folder, name: camera, path: in}]\nsinks:\n"
            "  - {type: csv, name: table, path: parts.csv}\n"
            "  - {type: folder, name: bad, path: bad, verdicts: [reject]}\n"
            f"  - {{type: mqtt, name: bus, host: 127.0.0.1, port: {bus.port}, topic: t}}\n")
        with Process(tmp_path / "line.yaml") as line:
            until_so(lambda: "runs" in line.log.read_text())
            for path in sorted(labelled.glob("*.png")):
                shutil.copy(path, tmp_path / "in")
            until_so(lambda: len(heard) == 24 and len(list((tmp_path / "bad").rglob("*.json"))) == len(rejected), 60)
    engine = create_engine(f"sqlite:///{tmp_path}/state/archive.sqlite")
    parts = [part for _, part in search(engine, Query(), 100)]
    engine.dispose()
    assert len(parts) == 24 and {part.name for part in parts if part.verdict == "reject"} == rejected
    assert {part.verdict for part in parts} == {"accept", "reject"}
    assert sorted(json.loads(payload)["name"] for _, payload, _ in heard) == sorted(part.name for part in parts)
    assert len((tmp_path / "parts.csv").read_text().splitlines()) == 25
    overlay = cv2.imread(str(next((tmp_path / "bad").rglob("*_overlay.jpg"))))
    assert overlay.shape == (64, 96, 3)
