"""From the facts of a data set and of this machine to settings of the training, each with its reason.

Only settings left open are chosen: what the user named stays. The measurements behind the rules are in
docs/training.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ..core.config import TrainConfig, format_size, parse_size
from ..core.host import cores, free_memory
from ..core.tiles import window_count
from ..data.facts import Survey
from ..networks.pretrained import pretrained_encoders

__all__ = ["Choice", "Machine", "choose", "default_architecture", "machine", "table", "window"]

# Below this thickness and extent, in network pixels, objects were lost more often than they were found.
LEAST_WIDTH, LEAST_SIDE = 6.0, 12.0
# The same where the time is short: seen often and small teaches more than seen a few times and sharp.
HURRIED_WIDTH, HURRIED_SIDE = 3.5, 8.0
# Below such a budget, in seconds and without a GPU, the network of the next smaller preset gets further.
SHORT = {"accurate": 3600, "balanced": 300}
SMALLER = {"accurate": "balanced", "balanced": "fast"}
# Where labels cover more of an image, weights that learned to find marks on a surface do not help.
SCENE = 0.5
# A training needs about so many crops; a core trains the smallest network on so many pixels a second, after so many
# seconds in which it begins.
FEWEST_CROPS, PIXELS_A_CORE, START = 4000, 1_500_000, 30
# An image is not shrunk below this; crops of the training and windows of the service have about so many pixels.
LEAST_PIXELS = 192 * 256
CROP_PIXELS = {"cpu": 256 * 256, "gpu": 512 * 512}
# On a CPU a step has about so many pixels: with fewer its fixed cost shows, with more there are too few steps.
STEP_PIXELS = 8 * 256 * 256
WINDOW_PIXELS = {"cpu": 448 * 448, "gpu": 1024 * 1024}
ENCODERS = {"fast": "compact16", "balanced": "compact24", "accurate": "compact32"}
# Resident bytes a pixel of the crop while training, an image of the batch: peak memory of a run with batch 8 less
# that with batch 1, measured for the default encoders and rounded up.
BYTES_A_PIXEL = {"compact": 1500, "unet": 7000, "unetpp": 16000, "fpn": 9000, "linknet": 6500, "pspnet": 6500}
MOST_CACHE = 2 * 2**30


@dataclass(frozen=True)
class Machine:
    """What trains: cores this process may use, GPUs, free memory in bytes, and whether cores multiply bfloat16."""

    cores: int
    gpus: int
    free_bytes: int
    bfloat16: bool


@dataclass(frozen=True)
class Choice:
    """One row of the table: a setting, its value as text, and why it has that value."""

    setting: str
    value: str
    why: str


def default_architecture(weights: str) -> str:
    """The architecture to take with these weights where none is named."""
    return "unet" if weights == "imagenet" else "compact"


def machine(gpus: int) -> Machine:
    """This machine, with that many GPUs."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text().split()) if cpuinfo.is_file() else set()
    return Machine(cores(), gpus, free_memory(), bool(flags & {"avx512_bf16", "amx_bf16"}))


def choose(config: TrainConfig, survey: Survey, sizes_hw: Sequence[tuple[int, int]],
           here: Machine) -> tuple[TrainConfig, list[Choice]]:
    """Fill in every setting left open.

    Args:
        config: what the user named.
        survey: facts of the images that train.
        sizes_hw: (height, width) of every image, in pixels.
        here: the machine.

    Returns:
        The whole config, and a row for each setting that the recipe is about, named or chosen.
    """
    chooser = _Chooser(config)
    kind = "gpu" if here.gpus else "cpu"
    chooser.network(survey, here)
    scale = chooser.scale(survey, here)
    chooser.window(sizes_hw, scale, kind)
    chooser.crop(survey, scale, kind)
    chooser.sampling(survey)
    chooser.augmentation(survey)
    chooser.batch(survey, here)
    chooser.learning(survey, here)
    chooser.views(survey)
    return chooser.config, chooser.rows


class _Chooser:
    """Settings under way: `config` as far as it is filled, and the rows that say why."""

    def __init__(self, config: TrainConfig) -> None:
        self.config, self._named = config, config
        self.rows: list[Choice] = []

    def _set(self, name: str, value: Any, why: str, shown: str = "") -> None:
        """Fill in a setting unless the user named it, and say so."""
        named = getattr(self._named, name)
        if named != type(self._named).__dataclass_fields__[name].default:
            value, why, shown = named, "as you asked", ""
        self.config = dataclasses.replace(self.config, **{name: value})
        self.rows.append(Choice(name, shown or str(value), why))

    def network(self, survey: Survey, here: Machine) -> None:
        architecture = default_architecture(self.config.weights)
        self._set("architecture", architecture, "plain 3x3 convolutions: fastest from scratch on these kernels"
                  if architecture == "compact" else "has pretrained weights")
        if self.config.architecture == "compact":
            preset = self.config.preset
            while not here.gpus and 0 < self.config.seconds < SHORT.get(preset, 0):
                preset = SMALLER[preset]
            self._set("encoder", ENCODERS[preset], f"preset {preset}" if preset == self.config.preset else
                      f"preset {preset}: {self.config.budget} is too short for {self.config.preset}")
        else:
            self._set("encoder", "", "the architecture's own", "(default)")
        if self.config.architecture != "compact" or self.config.encoder not in pretrained_encoders():
            self._set("weights", "none", "from scratch: the package has none for this network")
        elif survey.covered > SCENE:
            self._set("weights", "none", "from scratch: labels fill the images, they are no marks on a surface")
        else:
            self._set("weights", "synthetic", "learned on drawn surfaces, in the package: sees defects from the start")

    def scale(self, survey: Survey, here: Machine) -> float:
        """Network pixels a pixel of the photograph; 0 if the user wants whole images squeezed into `size`."""
        config = self.config
        if config.size and not config.scale:
            self.rows.append(Choice("scale", "whole image", f"squeezed into {config.size}, as you asked"))
            return 0.0
        pixels = survey.median_hw[0] * survey.median_hw[1]
        wanted = {"object_width": LEAST_WIDTH / max(survey.object_width, 1.0),
                  "object_area": LEAST_SIDE / max(survey.object_area, 1.0)**0.5,
                  "image": (LEAST_PIXELS / pixels)**0.5}
        reason = max(wanted, key=lambda key: wanted[key])
        scale = min(1.0, wanted[reason])
        scale = 1.0 if scale > 0.75 else round(scale, 3)  # a little shrinking costs sharpness and gains little
        why = {"object_width": f"the thinnest tenth of the objects is {survey.object_width:.0f} pixels wide or less",
               "object_area": f"the smallest tenth of the objects has {survey.object_area:.0f} pixels or less",
               "image": "objects are large; no smaller than this"}[reason]
        hurried = max(HURRIED_WIDTH / max(survey.object_width, 1.0), HURRIED_SIDE / max(survey.object_area, 1.0)**0.5,
                      (self._pixels_a_crop(here) / pixels)**0.5)
        if hurried < scale:
            scale, why = round(hurried, 3), f"{config.budget} on {here.cores} cores is too short for larger images"
        self._set("scale", scale, why, "1 (native)" if scale == 1 else f"{scale:g}")
        return self.config.scale

    def _pixels_a_crop(self, here: Machine) -> float:
        """Pixels that the budget lets each of FEWEST_CROPS have; no limit without a budget, or with a GPU."""
        if not self.config.seconds or here.gpus:
            return float("inf")
        allowed = max(1.0, self.config.seconds - START) * here.cores * PIXELS_A_CORE / FEWEST_CROPS
        return float("inf") if allowed > CROP_PIXELS["cpu"] else allowed

    def window(self, sizes_hw: Sequence[tuple[int, int]], scale: float, kind: str) -> None:
        if not scale:
            return
        scaled = [(max(1, round(height * scale)), max(1, round(width * scale))) for height, width in sizes_hw]
        size_hw = window(scaled, WINDOW_PIXELS[kind], multiple=96 if self.config.architecture == "pspnet" else 32)
        one = sum(height <= size_hw[0] and width <= size_hw[1] for height, width in scaled)
        self._set("size", format_size(size_hw),
                  f"the network's window: {one} of {len(scaled)} images fit one, others take overlapping ones")

    def crop(self, survey: Survey, scale: float, kind: str) -> None:
        step = 96 if self.config.architecture == "pspnet" else 32
        if not scale:
            self._set("crop", self.config.size, "whole images")
            return
        largest = [max(step, -(-round(length * scale) // step) * step) for length in survey.largest_hw]
        limit = CROP_PIXELS[kind]
        if largest[0] * largest[1] <= 1.5 * limit:
            self._set("crop", format_size(largest), "whole images: they are small")
            return
        side = round(limit**0.5 / step) * step
        size = [min(side, largest[0]), min(side, largest[1])]
        short = size.index(min(size))
        size[1 - short] = min(largest[1 - short], max(step, limit // size[short] // step * step))
        self._set("crop", format_size(size), "cut out around objects and at random; whole images would cost "
                                             f"{largest[0] * largest[1] / (size[0] * size[1]):.0f} times the pixels")

    def sampling(self, survey: Survey) -> None:
        most, least = max(survey.class_images), max(1, min(survey.class_images))
        self._set("sampling", 0.6, f"part of the crops drawn around an object, rare classes (1 : {most / least:.0f}) "
                                   "more often; the rest shows clean places")

    def augmentation(self, survey: Survey) -> None:
        self._set("mosaic", 0.5, "part of the crops put together from four: more different places in a step")
        strength = 0.7 if survey.images > 2000 else 1.0
        self._set("strength", strength, f"{survey.images} images" + (", grey" if survey.grey else ", colour")
                  + "".join(f", never {what}" for what, free in (("upside down", survey.turnable_v),
                                                                 ("mirrored", survey.turnable_h)) if not free))

    def batch(self, survey: Survey, here: Machine) -> None:
        height, width = parse_size(self.config.crop)
        image_bytes = BYTES_A_PIXEL[self.config.architecture] * height * width
        wanted = 16 * here.gpus if here.gpus else max(1, min(8, round(STEP_PIXELS / (height * width))))
        fitting = wanted if here.gpus else max(1, min(wanted, here.free_bytes // 4 // image_bytes))
        self._set("batch_size", int(fitting),
                  "crops a step: many small steps teach a small set faster than few large ones"
                  if not here.gpus else "crops a step")
        cache = max(64, min(MOST_CACHE, here.free_bytes // 4) // 2**20)
        self._set("cache_mb", cache, "memory for decoded images")

    def learning(self, survey: Survey, here: Machine) -> None:
        tuned = self.config.weights not in ("none", "synthetic")
        self._set("loss", "balanced_dice", "hears an object of 100 pixels among 50,000; see docs/training.md")
        if self.config.architecture == "compact" and not tuned:
            self._set("optimizer", "muon", "learns in fewer than half of AdamW's steps; see docs/training.md")
        else:
            self._set("optimizer", "adamw", "gentle to weights that are there" if tuned else "usual for its layers")
        scratch = 4e-3 if self.config.optimizer == "muon" else 2e-3
        self._set("lr", 5e-4 if tuned else scratch, "fine-tuning" if tuned else "all weights learn from the start")
        self._set("freeze", 2 if tuned else 0, "epochs with a frozen encoder, while the head learns" if tuned
                  else "all weights learn from the start")
        precision = "mixed_float16" if here.gpus else "mixed_bfloat16" if here.bfloat16 else "float32"
        self._set("precision", precision, {"mixed_float16": "GPU", "mixed_bfloat16": "these cores multiply it "
                  "natively: up to 1.9 times the speed", "float32": "these cores have nothing faster"}[precision])

    def views(self, survey: Survey) -> None:
        both = survey.turnable_v and survey.turnable_h
        value = "mirrored" if survey.turnable_h else "upside_down" if survey.turnable_v else "single"
        if self.config.preset == "fast":
            value = "single"
        elif both:
            value = "all" if self.config.preset == "accurate" else "turned"
        times = {"single": 1, "all": 4}.get(value, 2)
        self._set("views", value, "a prediction looks once" if times == 1 else
                  f"a prediction averages {times} mirror images: fewer false alarms for {times} times the work")


def window(sizes_hw: Sequence[tuple[int, int]], most_pixels: int, multiple: int = 32) -> tuple[int, int]:
    """The window that covers the images with the fewest pixels, all windows of an image counted.

    It is no smaller than half of the images where it may be: a network sees no further than its window.

    Args:
        sizes_hw: (height, width) of the images, scaled.
        most_pixels: upper bound of the window's.
        multiple: of both its sides.

    Returns:
        (height, width).
    """
    longest = 2048 // multiple * multiple
    heights = sorted({min(-(-size[0] // multiple) * multiple, longest) for size in sizes_hw})
    widths = sorted({min(-(-size[1] // multiple) * multiple, longest) for size in sizes_hw})
    square = max(multiple, int(most_pixels**0.5) // multiple * multiple)
    counts: dict[tuple[int, int], int] = {}
    for size in sizes_hw:
        counts[size] = counts.get(size, 0) + 1

    def cost(height: int, width: int) -> int:
        return sum(count * height * width * window_count(size, (height, width)) for size, count in counts.items())

    middle = [min(square, -(-int(median(size[axis] for size in sizes_hw)) // multiple) * multiple) for axis in (0, 1)]
    candidates = {(height, width) for height in {*heights, square} for width in {*widths, square}
                  if height * width <= most_pixels and height >= middle[0] and width >= middle[1]}
    return min(sorted(candidates or {(square, square)}), key=lambda size: (cost(*size), size[0] * size[1]))


def table(rows: Sequence[Choice]) -> str:
    """The choices as a table for people."""
    left, middle = max(len(row.setting) for row in rows), max(len(row.value) for row in rows)
    return "\n".join(f"  {row.setting:<{left}}  {row.value:<{middle}}  {row.why}" for row in rows)
