"""What the proof of concept did, for benchmarks/serving.py to race against: BentoML around Keras `model.predict`.

    MODEL=model.keras bentoml serve benchmarks/keras_service.py:KerasPredict --port 8899
"""

from __future__ import annotations

import os

import bentoml
import cv2
import numpy as np
from PIL.Image import Image
from pycocotools import mask as coco_mask

from ss_poc.model import load_model


@bentoml.service(name="keras_predict")
class KerasPredict:
    """Resize, `model.predict`, threshold at 0.5, RLE."""

    def __init__(self) -> None:
        self.model = load_model(os.environ["MODEL"])
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
