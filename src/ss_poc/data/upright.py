"""Samples as labelled images: regions as a person sees the photograph, whatever its EXIF turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..core.masks import decode_rle, encode_rle, polygons_to_mask
from ..formats.labelled import Image, Region, as_segmentation
from .dataset import Sample

__all__ = ["labelled_image"]


def labelled_image(sample: Sample, labels: Sequence[str], name: str = "") -> Image:
    """Return a sample as a labelled image.

    Regions of a photograph that EXIF turns are turned with it, and those that leave it are cut at its border.

    Args:
        sample: of a data set.
        labels: of the data set, in the order of its channels.
        name: of the image, if not that of the sample.
    """
    return Image(name or sample.name, sample.size_hw, tuple(_regions(sample, labels)))


def _regions(sample: Sample, labels: Sequence[str]) -> Iterator[Region]:
    extent = np.array([sample.size_hw[1], sample.size_hw[0]])
    for region in sample.regions:
        if sample.frame == "stored" and sample.orientation > 1:
            given = as_segmentation(replace(sample, regions=(region,)).mask(region.channel + 1)[..., region.channel])
        elif region.rle:
            given = encode_rle(decode_rle(region.rle, sample.size_hw))
        else:
            given = [list(polygon) for polygon in region.polygons or ()]
            points = np.concatenate([np.reshape(polygon, (-1, 2)) for polygon in given])
            if np.any(points < 0) or np.any(points > extent):
                given = as_segmentation(polygons_to_mask(given, sample.size_hw))
        yield Region(labels[region.channel], given, str(region.annotation_id))
