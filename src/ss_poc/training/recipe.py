"""From the facts of a data set and of this machine to settings of the training, each with its reason.

Only settings left open are chosen: what the user named stays. The measurements behind the rules are in
docs/training-tried.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ..core.config import ChosenConfig, TrainConfig, format_size, parse_size
from ..core.host import cores, free_memory
from ..core.text_table import counted, text_table
from ..core.tiles import window_count
from ..data.facts import Survey
from ..networks.pretrained import pretrained_encoders

__all__ = ["CHOSEN", "Choice", "Machine", "choose", "default_architecture", "machine", "table",
           "window"]

# Below this thickness and extent, in network pixels, objects were lost more often than they were found.
LEAST_WIDTH, LEAST_SIDE = 6.0, 12.0
# The same where the time is short: seen often and small teaches more than seen a few times and sharp.
HURRIED_WIDTH, HURRIED_SIDE = 3.5, 8.0
# Where photographs take several windows, one object in four may be smaller than LEAST_WIDTH or LEAST_SIDE, and they are
# shrunk to no less than this: on ball screws, whose pits differ tenfold, half the size finds those of another machine
# far better.
COARSE = 0.5
# Below such a budget, in seconds and without a GPU, the network of the next smaller preset gets further.
SHORT = {"accurate": 3600, "balanced": 300}
SMALLER = {"accurate": "balanced", "balanced": "fast"}
# A little shrinking costs sharpness and gains little: above this scale photographs stay as they are.
WORTH_SHRINKING = 0.75
# Where labels cover a larger fraction of an image, weights that learned to find marks on a surface do not help.
SCENE = 0.5
# A training needs at least this number of crops; a core trains the smallest network on this number of pixels a second,
# after this number of seconds in which it begins.
FEWEST_CROPS, PIXELS_A_CORE, START = 4000, 1_500_000, 30
# An image is not shrunk below this number of pixels; crops of the training and windows of the service have about these.
LEAST_PIXELS = 192 * 256
CROP_PIXELS = {"cpu": 256 * 256, "gpu": 512 * 512}
# Pixels of a step on a CPU, about: with fewer its fixed cost shows, with more there are too few steps.
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

    @property
    def kind(self) -> str:
        """`gpu` or `cpu`."""
        return "gpu" if self.gpus else "cpu"


@dataclass(frozen=True)
class Choice:
    """One row of the table: a setting, its value as text, why it has that value, and the value itself."""

    setting: str
    value: str
    why: str
    chosen: Any = None

    def row(self) -> dict[str, str]:
        """The texts alone, as run.json keeps them."""
        return {"setting": self.setting, "value": self.value, "why": self.why}


@dataclass(frozen=True)
class Facts:
    """What the recipe knows: facts of the images that train, (height, width) of every image, and the machine."""

    survey: Survey
    sizes_hw: Sequence[tuple[int, int]]
    here: Machine


def default_architecture(weights: str | None) -> str:
    """The architecture to take with these weights where none is named."""
    return "unet" if weights == "imagenet" else "compact"


def machine(gpus: int) -> Machine:
    """This machine, with that number of GPUs."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text().split()) if cpuinfo.is_file() else set()
    return Machine(cores(), gpus, free_memory(), bool(flags & {"avx512_bf16", "amx_bf16"}))


def choose(config: TrainConfig, survey: Survey, sizes_hw: Sequence[tuple[int, int]],
           here: Machine) -> tuple[ChosenConfig, list[Choice]]:
    """Fill in every setting left open.

    Args:
        config: what the user named.
        survey: facts of the images that train.
        sizes_hw: (height, width) of every image, in pixels.
        here: the machine.

    Returns:
        The whole config, and a row for each setting that the recipe is about, named or chosen.
    """
    facts, filled, rows = Facts(survey, sizes_hw, here), ChosenConfig(**vars(config)), []
    squeezed = config.size is not None and config.scale is None
    for name, rule in RULES.items():
        if squeezed and name == "size":  # the row of `scale` says it
            continue
        named = getattr(config, name)
        row = rule(filled, facts) if named is None else Choice(name, str(named), "as you asked", named)
        filled = dataclasses.replace(filled, **{name: row.chosen})
        rows.append(row)
    return filled, rows


# Each rule gets the config as far as it is filled, in the order of RULES, and gives the choice of one setting.

def _architecture(config: ChosenConfig, facts: Facts) -> Choice:
    value = default_architecture(config.weights)
    return Choice("architecture", value, "plain 3x3 convolutions: fastest from scratch on these kernels"
                  if value == "compact" else "has pretrained weights", value)


def _encoder(config: ChosenConfig, facts: Facts) -> Choice:
    if config.architecture != "compact":
        return Choice("encoder", "(default)", "the architecture's own")
    preset = config.preset
    while not facts.here.gpus and config.seconds and config.seconds < SHORT.get(preset, 0):
        preset = SMALLER[preset]
    return Choice("encoder", ENCODERS[preset], f"preset {preset}" if preset == config.preset else
                  f"preset {preset}: {config.budget} is too short for {config.preset}", ENCODERS[preset])


def _weights(config: ChosenConfig, facts: Facts) -> Choice:
    if config.architecture != "compact" or config.encoder not in pretrained_encoders():
        return Choice("weights", "none", "from scratch: the package has no weights of this network", "none")
    if facts.survey.covered > SCENE:
        return Choice("weights", "none", "from scratch: labels fill the images, they are no marks on a surface", "none")
    return Choice("weights", "synthetic", "learned on drawn surfaces, in the package: sees defects from the start",
                  "synthetic")


def _scale(config: ChosenConfig, facts: Facts) -> Choice:
    """Network pixels per pixel of the photograph."""
    if config.size is not None:
        return Choice("scale", "whole image", f"squeezed into {config.size}, as you asked")
    survey = facts.survey
    pixels = survey.median_hw[0] * survey.median_hw[1]
    by_width, by_area = _large_enough(survey.object_width, survey.object_area)
    wanted = {"object_width": by_width, "object_area": by_area, "image": (LEAST_PIXELS / pixels)**0.5}
    reason = max(wanted, key=lambda key: wanted[key])
    scale = min(1.0, wanted[reason])
    scale = 1.0 if scale > WORTH_SHRINKING else round(scale, 3)
    width, area = (counted(round(value), "pixel") for value in (survey.object_width, survey.object_area))
    why = {"object_width": f"the thinnest tenth of the objects is {width} wide or less",
           "object_area": f"the smallest tenth of the objects has {area} or less",
           "image": "objects are large; no smaller than this"}[reason]
    coarse = max(COARSE, *_large_enough(survey.common_width, survey.common_area),
                 (WINDOW_PIXELS[facts.here.kind] / pixels)**0.5)
    if coarse < scale and coarse <= WORTH_SHRINKING:
        scale = round(coarse, 3)
        why = ("a window shows more of these large photographs; 3 of 4 objects are still large enough "
               "(--scale 1 for the smallest)")
    hurried = max(*_large_enough(survey.object_width, survey.object_area, HURRIED_WIDTH, HURRIED_SIDE),
                  (_pixels_a_crop(config, facts.here) / pixels)**0.5)
    if hurried < scale:
        scale = round(hurried, 3)
        why = f"{config.budget} on {counted(facts.here.cores, 'core')} is too short for larger images"
    return Choice("scale", "1 (native)" if scale == 1 else f"{scale:g}", why, scale)


def _large_enough(width: float, area: float, least_width: float = LEAST_WIDTH,
                  least_side: float = LEAST_SIDE) -> tuple[float, float]:
    """Scales at which objects of that thickness, and of that area, in pixels, are as large as they should be."""
    return least_width / max(width, 1.0), least_side / max(area, 1.0)**0.5


def _pixels_a_crop(config: TrainConfig, here: Machine) -> float:
    """Pixels that the budget lets each of FEWEST_CROPS have; no limit without a budget, or with a GPU."""
    if config.seconds is None or here.gpus:
        return float("inf")
    allowed = max(1.0, config.seconds - START) * here.cores * PIXELS_A_CORE / FEWEST_CROPS
    return float("inf") if allowed > CROP_PIXELS["cpu"] else allowed


def _size(config: ChosenConfig, facts: Facts) -> Choice:
    assert config.scale is not None  # without a scale the user named a size
    scaled = [(max(1, round(height * config.scale)), max(1, round(width * config.scale)))
              for height, width in facts.sizes_hw]
    size_hw = window(scaled, WINDOW_PIXELS[facts.here.kind], multiple=_multiple(config))
    one = sum(height <= size_hw[0] and width <= size_hw[1] for height, width in scaled)
    value = format_size(size_hw)
    return Choice("size", value, f"the network's window: {one} of {len(scaled)} images fit one, others take "
                                 "overlapping ones", value)


def _multiple(config: ChosenConfig) -> int:
    return 96 if config.architecture == "pspnet" else 32


def _crop(config: ChosenConfig, facts: Facts) -> Choice:
    if config.scale is None:
        return Choice("crop", config.size, "whole images", config.size)
    step, limit = _multiple(config), CROP_PIXELS[facts.here.kind]
    largest = [max(step, -(-round(length * config.scale) // step) * step) for length in facts.survey.largest_hw]
    if largest[0] * largest[1] <= 1.5 * limit:
        value = format_size(largest)
        return Choice("crop", value, "whole images: they are small", value)
    side = round(limit**0.5 / step) * step
    size = [min(side, largest[0]), min(side, largest[1])]
    short = size.index(min(size))
    size[1 - short] = min(largest[1 - short], max(step, limit // size[short] // step * step))
    value = format_size(size)
    return Choice("crop", value, "cut out around objects and at random; whole images would cost "
                                 f"{largest[0] * largest[1] / (size[0] * size[1]):.0f} times the pixels", value)


def _sampling(config: ChosenConfig, facts: Facts) -> Choice:
    images = facts.survey.class_images
    most, least = max(images), max(1, min(images))
    return Choice("sampling", "0.6", "fraction of the crops drawn around an object, rare classes "
                                     f"(1 : {most / least:.0f}) more often; the rest shows clean places", 0.6)


def _mosaic(config: ChosenConfig, facts: Facts) -> Choice:
    return Choice("mosaic", "0.5", "fraction of the crops put together from four: more different places in a step", 0.5)


def _strength(config: ChosenConfig, facts: Facts) -> Choice:
    survey = facts.survey
    value = 0.7 if survey.images > 2000 else 1.0
    return Choice("strength", str(value), counted(survey.images, "image") + (", grey" if survey.grey else ", colour")
                  + "".join(f", never {what}" for what, free in (("upside down", survey.turnable_v),
                                                                 ("mirrored", survey.turnable_h)) if not free), value)


def _batch_size(config: ChosenConfig, facts: Facts) -> Choice:
    here, (height, width) = facts.here, parse_size(config.crop)
    if here.gpus:
        return Choice("batch_size", str(16 * here.gpus), "crops in a step", 16 * here.gpus)
    image_bytes = BYTES_A_PIXEL[config.architecture] * height * width
    wanted = max(1, min(8, round(STEP_PIXELS / (height * width))))
    value = int(max(1, min(wanted, here.free_bytes // 4 // image_bytes)))
    return Choice("batch_size", str(value), "crops in a step: many small steps teach a small set faster than few large "
                                            "ones", value)


def _cache_mb(config: ChosenConfig, facts: Facts) -> Choice:
    value = max(64, min(MOST_CACHE, facts.here.free_bytes // 4) // 2**20)
    return Choice("cache_mb", str(value), "memory for decoded images, in MiB", value)


def _tuned(config: ChosenConfig) -> bool:
    """Whether training goes on from weights that saw photographs."""
    return config.weights not in ("none", "synthetic")


def _loss(config: ChosenConfig, facts: Facts) -> Choice:
    return Choice("loss", "balanced_dice", "hears an object of 100 pixels among 50,000",
                  "balanced_dice")


def _optimizer(config: ChosenConfig, facts: Facts) -> Choice:
    if config.architecture == "compact" and not _tuned(config):
        return Choice("optimizer", "muon", "learns in fewer than half of AdamW's steps", "muon")
    return Choice("optimizer", "adamw", "changes trained weights gently" if _tuned(config) else
                  "the usual one for this architecture", "adamw")


def _lr(config: ChosenConfig, facts: Facts) -> Choice:
    if _tuned(config):
        return Choice("lr", "0.0005", "fine-tuning", 5e-4)
    value = 4e-3 if config.optimizer == "muon" else 2e-3
    return Choice("lr", str(value), "all weights learn from the start", value)


def _freeze(config: ChosenConfig, facts: Facts) -> Choice:
    if _tuned(config):
        return Choice("freeze", "2", "epochs with a frozen encoder, while the head learns", 2)
    return Choice("freeze", "0", "all weights learn from the start", 0)


def _precision(config: ChosenConfig, facts: Facts) -> Choice:
    value = "mixed_float16" if facts.here.gpus else "mixed_bfloat16" if facts.here.bfloat16 else "float32"
    return Choice("precision", value, {
        "mixed_float16": "the usual one of GPUs", "float32": "these cores have nothing faster",
        "mixed_bfloat16": "these cores multiply it natively: up to 1.9 times the speed"}[value], value)


def _views(config: ChosenConfig, facts: Facts) -> Choice:
    survey = facts.survey
    value = "mirrored" if survey.turnable_h else "upside_down" if survey.turnable_v else "single"
    if config.preset == "fast":
        value = "single"
    elif survey.turnable_v and survey.turnable_h:
        value = "all" if config.preset == "accurate" else "turned"
    times = {"single": 1, "all": 4}.get(value, 2)
    return Choice("views", value, "a prediction looks once" if times == 1 else
                  f"a prediction averages {times} mirror images: fewer false alarms for {times} times the work", value)


def _features(config: ChosenConfig, facts: Facts) -> Choice:
    why_not = {
        "its encoder has its own": config.architecture != "compact",
        "the memory of good photographs has them": config.good_only,
        "preset fast: the network alone answers soonest": config.preset == "fast",
        "labels fill the images, they are no marks on a surface": facts.survey.covered > SCENE,
        f"{config.budget} is too short for them": (config.seconds or SHORT["balanced"]) < SHORT["balanced"]}
    for why, so in why_not.items():
        if so:
            return Choice("features", "none", why, "none")
    return Choice("features", "imagenet", "a linear probe beside the network: finds more on workpieces never seen",
                  "imagenet")


RULES: dict[str, Callable[[ChosenConfig, Facts], Choice]] = {
    "architecture": _architecture, "encoder": _encoder, "weights": _weights, "scale": _scale, "size": _size,
    "crop": _crop, "sampling": _sampling, "mosaic": _mosaic, "strength": _strength, "batch_size": _batch_size,
    "cache_mb": _cache_mb, "loss": _loss, "optimizer": _optimizer, "lr": _lr, "freeze": _freeze,
    "precision": _precision, "views": _views, "features": _features}
# Settings that the recipe may choose; a resumed run keeps what was chosen when it was started.
CHOSEN = tuple(RULES)


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
    """Set the choices into a table for people, indented by two spaces."""
    cells = [[row.setting, row.value, row.why] for row in rows]
    return "\n".join(f"  {line}" for line in text_table(cells, left=(0, 1, 2)).splitlines())
