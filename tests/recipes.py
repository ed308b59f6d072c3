"""A data set and machines that recipes are worked out for by hand."""

from __future__ import annotations

import dataclasses

from ss_poc.core.config import TrainConfig
from ss_poc.data.facts import Survey
from ss_poc.training.recipe import Choice, Machine, choose

CPU = Machine(cores=4, gpus=0, free_bytes=64 * 2**30, bfloat16=False)
GPU = Machine(cores=16, gpus=1, free_bytes=64 * 2**30, bfloat16=False)
# A thousand photographs of 1000x1500 with cracks 3 pixels thin.
THIN = Survey(images=1000, clean=200, class_images=(500, 300), median_hw=(1000, 1500), largest_hw=(1000, 1500),
              object_area=400.0, object_width=3.0, covered=0.01, grey=False, turnable_v=True, turnable_h=True)
# Photographs of 12 megapixels with dents that a thumbnail shows.
LARGE = dataclasses.replace(THIN, median_hw=(3000, 4000), largest_hw=(3000, 4000), object_area=4e6, object_width=600.0)


def chosen(config: TrainConfig | None = None, survey: Survey = THIN, here: Machine = CPU,
           **named) -> tuple[TrainConfig, dict[str, Choice]]:
    """The whole config, and the rows by setting; every image has the median size."""
    config, rows = choose(config or TrainConfig(**named), survey, [survey.median_hw] * survey.images, here)
    assert len({row.setting for row in rows}) == len(rows)
    return config, {row.setting: row for row in rows}
