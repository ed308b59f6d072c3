"""What train_serve.sh shows at its end.

    python scripts/proof.py choose result/demo/segment/v_1     (a validation image with a defect)
    python scripts/proof.py show answer.json               (an answer of the service, long texts shortened)
"""

from __future__ import annotations

import csv
import json
import os
import sys
from pathlib import Path
from typing import Any

from pycocotools import mask as coco_mask


def choose(run: Path) -> str:
    """Path of the validation image with the most labelled pixels that the model found as well; of a model of good
    photographs alone, the first photograph that labels mark as defective, where there is one."""
    data = json.loads((run / "run.json").read_text(encoding="utf-8"))["data"]
    labels = run.parents[3] / data["json_path"]
    made = labels.parent.parent.name.startswith("good_")
    info = json.loads(labels.read_text(encoding="utf-8")).get("info", {}) if made else {}
    if info.get("labelled"):
        return os.path.relpath(Path(info["source"]) / info["labelled"][0])
    found: dict[str, int] = {}
    with (run / "valid" / "valid_batch_true.csv").open(newline="", encoding="utf-8") as true, \
            (run / "valid" / "valid_batch_pred.csv").open(newline="", encoding="utf-8") as predicted:
        for left, right in zip(csv.DictReader(true), csv.DictReader(predicted), strict=True):
            size = [int(left["height"]), int(left["width"])]
            masks = [{"size": size, "counts": row["counts"].encode()} for row in (left, right)]
            overlap = int(coco_mask.area(coco_mask.merge(masks, intersect=True)))
            found[left["image"]] = found.get(left["image"], 0) + overlap
    return os.path.relpath(run.parents[3] / data["img_path"] / max(found, key=lambda name: found[name]))


def shortened(value: Any) -> Any:
    """The same structure with long texts and lists cut."""
    if isinstance(value, str):
        return value if len(value) <= 60 else value[:50] + f"… ({len(value)} characters)"
    if isinstance(value, list):
        kept = [shortened(item) for item in value[:6]]
        return kept if len(value) <= 6 else [*kept, f"… ({len(value)} in all)"]
    return {key: shortened(item) for key, item in value.items()} if isinstance(value, dict) else value


if __name__ == "__main__":
    if sys.argv[1] == "choose":
        print(choose(Path(sys.argv[2])))
    else:
        answer = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
        for key, value in answer.items():
            print(f"  {key}: {json.dumps(shortened(value), ensure_ascii=False)}")
