"""What the proof of concept did, for benchmarks/serving.py to race against: BentoML around Keras `model.predict`.

    RUN=result/demo/segment/b0_256 bentoml serve benchmarks/keras_service.py:KerasPredict --port 8899
"""

from __future__ import annotations

import os
from pathlib import Path

import bentoml
import cv2
import numpy as np
from PIL.Image import Image
from pycocotools import mask as coco_mask

from ss_poc.core.config import parse_size
from ss_poc.core.run import RunPaths, read_run
from ss_poc.networks.build import build_model
from ss_poc.networks.weights import load_weights


@bentoml.service(name="keras_predict")
class KerasPredict:
    """Resize, `model.predict`, threshold at 0.5, RLE."""

    def __init__(self) -> None:
        run = Path(os.environ["RUN"])
        paths = RunPaths(run.parents[2], run.parents[1].name, run.name)
        found = read_run(paths)
        config = found["config"]
        self.model = build_model(config["architecture"], config["encoder"], len(found["data"]["labels"]),
                                 parse_size(config["size"]))
        load_weights(self.model, paths.best_model())
        self.model.predict(np.zeros((1, 256, 256, 3), np.float32), verbose=0)

    @bentoml.api
    def predict(self, image: Image) -> dict:
        """COCO RLE of each class."""
        rgb = np.asarray(image.convert("RGB"))
        small = cv2.resize(rgb, (256, 256), interpolation=cv2.INTER_AREA)
        probability = self.model.predict(small[None].astype(np.float32), verbose=0)[0]
        found = []
        for channel in range(probability.shape[-1]):
            large = cv2.resize(probability[..., channel], (rgb.shape[1], rgb.shape[0]))
            rle = coco_mask.encode(np.asfortranarray(large >= 0.5, dtype=np.uint8))
            found.append({"size": rle["size"], "counts": rle["counts"].decode("ascii")})
        return {"rle": found}
