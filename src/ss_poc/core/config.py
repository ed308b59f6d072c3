"""Every setting, once: name, default, meaning and check. Flags, environment and service all read these."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ConfigError
from .host import cores
from .settings import check_bounds, setting

__all__ = [
    "ARCHITECTURES", "CUDA_ENGINE", "DEMO", "ENGINES", "EXCLUSIVE", "EXIF_LABELS", "FEATURES", "LOSSES", "NAME_PATTERN",
    "OPTIMIZERS", "PRECISIONS", "PRESETS", "SERVING_ENGINES", "VIEWS", "ChosenConfig", "DeployConfig", "ExportConfig",
    "FinishConfig", "OptimiseConfig", "PredictConfig", "ReportConfig", "Rule", "RunConfig",
    "SearchConfig", "ServeConfig", "TrainConfig", "WITH_MEMORY", "format_size", "is_zip_name", "parse_duration",
    "parse_fraction", "parse_nth", "parse_size",
]

ARCHITECTURES = ("compact", "unet", "unetpp", "fpn", "linknet", "pspnet")
ENGINES = ("onnxruntime", "openvino", "openvino-bf16", "openvino-int8")
CUDA_ENGINE = "onnxruntime-cuda"
SERVING_ENGINES = (*ENGINES, CUDA_ENGINE)
CLUSTERS = ("ray",)
PRESETS = ("fast", "balanced", "accurate")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
FEATURES = ("imagenet", "none")
EXCLUSIVE = ("auto", "yes", "no")
VIEWS = ("single", "mirrored", "upside_down", "turned", "all")
LOSSES = ("balanced_dice", "balanced", "bce_dice", "bce_logdice", "focal", "tversky", "lovasz")
OPTIMIZERS = ("muon", "adamw")
# What labels refer to where a photograph's EXIF turns it and its size cannot tell; "auto" is "shown", and says so.
EXIF_LABELS = ("auto", "shown", "stored")
DEMO = "coco-annotator/datasets/demo"
# Ends the name of an encoder that has a memory of good photographs beside it.
WITH_MEMORY = "+good"
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Rule:
    """How one class' probability becomes a mask; lengths and areas are pixels of the probability map.

    Attributes:
        label: name of the class.
        color: `#rrggbb`.
        size_hw: size of the probability map the rule was found on.
        proba: a pixel belongs to the class where its probability is at least this, in (0, 1).
        pad: radius of the dilation, in pixels.
        reduce_size: components of fewer pixels are dropped.
        convex: whether each component is replaced by its convex hull.
        dice: mean Dice of the class on the images that validate, under this rule (empty against empty is 1).
        reach: a mark grows into all pixels connected to it that lie at most this many log-odds below `proba`.
    """

    label: str
    color: str
    size_hw: tuple[int, int]
    proba: float = 0.5
    pad: int = 0
    reduce_size: int = 0
    convex: bool = False
    dice: float = float("nan")
    reach: float = 0.0


@dataclass(frozen=True)
class RunConfig:
    """Which run: shared by every stage that works on one."""

    img_dir_name: str | None = setting(None, "name of the data set under result/")
    model_name: str = setting("v_1", "name of this version")
    result: str = setting("result", "folder of all runs")

    def __post_init__(self) -> None:
        check_bounds(self)
        for name in ("img_dir_name", "model_name"):
            value = getattr(self, name)
            if value is not None and not NAME_PATTERN.fullmatch(value):
                raise ConfigError(f"{name} is {value!r}", "letters, digits, '.', '_' and '-', at most 100 of them",
                                  f"choose another {name}; it becomes a folder name")

    @property
    def data_set(self) -> str:
        """Name of the data set; "" where none is named."""
        return self.img_dir_name or ""


@dataclass(frozen=True)
class TrainConfig(RunConfig):
    """Settings of `python -m ss_poc.train`; those that are None are chosen, see `ss_poc.training.recipe`."""

    img_dir_name: str | None = setting(None, "name of the data set under result/", unset="last name in img_path")
    json_path: str | None = setting(None, "labels, a file, a folder or a zip of any format in docs/data.md",
                                      unset="the newest .exports/*.json of img_path, else the labels found in it")
    img_path: str = setting(DEMO, "folder of the images, or a zip of it")
    good_only: bool = setting(False, "photographs of img_path are good: learn to find what departs from them, without "
                                     "labels (docs/good-only.md)")
    budget: str | None = setting(None, "time to train in, such as 15m, 90s or 2h; epoch and patience are then ignored",
                                 unset="none: epochs are counted")
    epoch: int = setting(50, "highest number of epochs", least=1)
    preset: str = setting("balanced", "smaller and faster, or larger and slower network", choices=PRESETS)
    batch_size: int | None = setting(None, "crops in a step", least=1, unset="chosen from images and memory",
                                     old_unset=0)
    architecture: str | None = setting(None, "network", choices=ARCHITECTURES, unset="chosen")
    encoder: str | None = setting(None, "encoder of the network, such as efficientnetb0", unset="chosen")
    weights: str | None = setting(None, "weights to start from: none, synthetic (learned on drawn surfaces; in the "
                                        "package), imagenet (in the package for efficientnet-lite0, else "
                                        "downloads) or a .keras file of an earlier run",
                                  unset="chosen")
    freeze: int | None = setting(None, "epochs at the start in which the encoder does not learn", least=0,
                                 unset="2 with weights from imagenet or a .keras file, 0 with others", old_unset=-1)
    size: str | None = setting(None, "network input as HEIGHTxWIDTH, such as 256x320; without scale, whole images are "
                                     "squeezed into it", unset="chosen")
    scale: float | None = setting(None, "network pixels per pixel of the photograph", least=0.0, most=4.0,
                                  unset="chosen from the objects", old_unset=0)
    crop: str | None = setting(None, "HEIGHTxWIDTH of the crops to train on", unset="chosen from the images")
    sampling: float | None = setting(None, "fraction of the crops drawn around an object; 0: all at random", least=0.0,
                                     most=1.0, unset="chosen", old_unset=-1)
    mosaic: float | None = setting(None, "fraction of the crops put together from four smaller ones", least=0.0,
                                   most=1.0, unset="chosen", old_unset=-1)
    loss: str | None = setting(None, "loss to minimise", choices=LOSSES, unset="chosen")
    optimizer: str | None = setting(None, "optimiser", choices=OPTIMIZERS, unset="chosen")
    lr: float | None = setting(None, "highest learning rate", least=0.0, most=10.0, unset="chosen", old_unset=0)
    ema: float | None = setting(None, "momentum of the moving average of the weights; 0: no average", least=0.0,
                                most=0.9999, unset="chosen from the length of the training", old_unset=-1)
    seed: int = setting(0, "seed of split, weights, order and augmentation", least=0)
    valid: float | None = setting(None, "fraction of the images used for validation", least=0.0, most=0.9,
                                  unset="0.2, fewer if there are many large images", old_unset=0)
    group: str | None = setting(None, "regular expression that finds the workpiece's name in a photograph's name: all "
                                      "photographs of one workpiece train, or all of them validate",
                                unset="each photograph by itself")
    fold: str | None = setting(None, "validate on one of equal folds of the images, such as 2/5; all folds together "
                                     "validate each image once, the same with every seed",
                               unset="a fraction of the images validates, see valid")
    train_fraction: float = setting(1.0, "fraction of the train split that trains, spread over classes and workpieces: "
                                         "what fewer labels would have brought", least=0.01, most=1.0)
    exif_labels: str = setting("auto", "whether labels were drawn on photographs as shown or as stored, where EXIF "
                                       "turns them and size cannot tell; auto: as shown, and a note",
                               choices=EXIF_LABELS)
    patience: int = setting(12, "epochs without progress before training stops", least=1)
    augmentation: str | None = setting(None, "albumentations pipeline as yaml",
                                       unset="flips, turns, scale, light, noise")
    strength: float | None = setting(None, "strength of the default augmentation; 0: pixels stay as they are",
                                     least=0.0, most=2.0, unset="chosen", old_unset=-1)
    views: str | None = setting(None, "mirror images whose answers are averaged when serving", choices=VIEWS,
                                unset="chosen")
    features: str | None = setting(None, "features beside the network's own: imagenet (in the package) or none",
                                   choices=FEATURES, unset="chosen")
    exclusive: str = setting("auto", "whether a photograph shows one class at most, so that classes compete on it; "
                                     "auto: yes where no labelled photograph shows two", choices=EXCLUSIVE)
    precision: str | None = setting(None, "arithmetic of the network", choices=PRECISIONS,
                                    unset="the fastest that is safe")
    xla: bool = setting(False, "compile the training step with XLA")
    gpus: int | None = setting(None, "number of GPUs to use", least=1, unset="all", old_unset=0)
    cache_mb: int | None = setting(None, "memory for decoded images, in MiB", least=1,
                                   unset="a quarter of what is free", old_unset=0)
    resume: bool = setting(False, "go on after the last whole epoch of this run")
    reuse: bool = setting(False, "use a finished run of this name, go on with an interrupted one")
    overwrite: bool = setting(False, "replace an earlier run of the same name when this one is finished")

    def __post_init__(self) -> None:
        if self.img_path == DEMO and is_zip_name(self.json_path or ""):  # it holds the photographs too
            object.__setattr__(self, "img_path", self.json_path)
        super().__post_init__()
        for size in (self.size, self.crop):
            if size is not None:
                parse_size(size)
        if self.seconds is not None and self.seconds < 20:
            raise ConfigError(f"budget is {self.budget!r}", "at least 20 s: about 10 s pass before the first step")
        if not (self.weights in (None, "none", "synthetic", "imagenet") or str(self.weights).endswith(".keras")):
            raise ConfigError(f"weights is {self.weights!r}", "none, synthetic, imagenet or the path of a .keras file")
        try:
            re.compile(self.group or "")
        except re.error as error:
            raise ConfigError(f"group is {self.group!r}: {error}", "a regular expression, such as '^[^_]+' for what "
                              "comes before the first _ of a name") from error
        if self.fold is not None:
            parse_nth("fold", self.fold, 2)
        if self.fold is not None and self.valid is not None:
            raise ConfigError(f"fold is {self.fold} and valid is {self.valid:g}", "one of them",
                              "drop --valid: the number of folds says how many images validate")
        if self.resume + self.reuse + self.overwrite > 1:
            raise ConfigError("more than one of resume, reuse and overwrite is set", "one of them at most",
                              "drop those you do not mean")

    @property
    def seconds(self) -> float | None:
        """`budget` in seconds; None where there is none."""
        return None if self.budget is None else parse_duration(self.budget)

    @property
    def data_set(self) -> str:
        """`img_dir_name`, or the last name in `img_path`, without `.zip`."""
        place = Path(self.img_path).resolve()
        return self.img_dir_name or (place.stem if is_zip_name(place.name) else place.name)


class ChosenConfig(TrainConfig):
    """Settings that training can begin with: of what the recipe chooses, only these may still be None: `encoder` (the
    architecture's own) and `scale` (whole images are squeezed into `size`)."""

    if TYPE_CHECKING:
        architecture: str
        weights: str
        size: str
        crop: str
        sampling: float
        mosaic: float
        strength: float
        batch_size: int
        cache_mb: int
        loss: str
        optimizer: str
        lr: float
        freeze: int
        precision: str
        views: str
        features: str


@dataclass(frozen=True)
class FinishConfig(RunConfig):
    """Settings of `python -m ss_poc.finish`."""


@dataclass(frozen=True)
class ExportConfig(RunConfig):
    """Settings of `python -m ss_poc.export`."""


@dataclass(frozen=True)
class SearchConfig(RunConfig):
    """Settings of `python -m ss_poc.post_processing`."""

    workers: int | None = setting(None, "number of threads", least=1, unset="one for each core", old_unset=0)
    miss_cost: float | None = setting(None, "what a missed defective image costs, in false alarms", least=0.0,
                                      unset="not weighed: an image with anything marked is defective", old_unset=0)
    max_false_alarm: str | None = setting(None, "fraction of the clean images that may be called defective, such as 1%",
                                          unset="no limit")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_false_alarm is not None:
            parse_fraction(self.max_false_alarm)


@dataclass(frozen=True)
class OptimiseConfig(RunConfig):
    """Settings of `python -m ss_poc.optimise`."""

    engine: str | None = setting(None, "serve with this engine", choices=ENGINES, unset="the fastest that passes")
    rounds: int = setting(40, "timed predictions of each engine", least=3)


@dataclass(frozen=True)
class ReportConfig(RunConfig):
    """Settings of `python -m ss_poc.report`."""


@dataclass(frozen=True)
class DeployConfig(RunConfig):
    """Settings of `python -m ss_poc.bento_deploy`."""

    deploy: str = setting("deploy", "folder of all Bentos")
    overwrite: bool = setting(False, "replace a Bento of another data set that has this name")


@dataclass(frozen=True)
class PredictConfig(RunConfig):
    """Settings of `python -m ss_poc.predict`."""

    images: str = setting("", "an image, a folder, a quoted glob or an address such as s3://bucket/photos")
    output: str | None = setting(None, "where the results go", unset="the run's prediction/")
    threshold: float | None = setting(None, "probability threshold for every class", least=0.0, most=1.0,
                                      unset="that of each class' rule", old_unset=0)
    rank: bool = setting(False, "instead, order the photographs by how much labelling them would teach")
    top: int = setting(20, "with rank: photographs to propose labels for", least=1)
    engine: str | None = setting(None, "engine to try first", choices=SERVING_ENGINES, unset="the fastest that passed")
    no_overlays: bool = setting(False, "write no pictures of what was found")
    rules: str | None = setting(None, "yaml of part rules: photographs are measured, and accepted or rejected",
                                unset="none")
    shard: str | None = setting(None, "only this shard of the photographs, such as 3/16", unset="all photographs")
    shards: int | None = setting(None, "number of shards, where Kubernetes (JOB_COMPLETION_INDEX) or Slurm "
                                       "(SLURM_ARRAY_TASK_ID) says which of them this is", least=1, most=99_999,
                                 unset="not divided")
    cluster: str | None = setting(None, "predict on a cluster", choices=CLUSTERS, unset="this machine, this process")
    address: str | None = setting(None, "with cluster: where it is, such as 10.0.0.5:6379 or auto",
                                  unset="RAY_ADDRESS, else a cluster of its own on this machine")
    actors: int | None = setting(None, "with cluster: processes that predict", least=1,
                                 unset="as many as it has CPUs for")
    actor_cpus: int = setting(1, "with cluster: CPUs, and threads of the engine, of each of them", least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cluster and (self.rank or self.shard or self.shards):
            raise ConfigError("cluster is set together with rank, shard or shards", "one of them",
                              "drop --cluster, or the others: a cluster divides the photographs by itself")
        if not self.cluster and (self.address or self.actors):
            raise ConfigError("address or actors is set, and no cluster", "a cluster to find there",
                              "add --cluster ray")


@dataclass(frozen=True)
class ServeConfig:
    """Limits of the service; each is read from the environment as SS_POC_<NAME>, or as the variable it names."""

    max_bytes: int = setting(64 * 2**20, "largest accepted request body, in bytes", least=1024)
    max_pixels: int | None = setting(None, "largest accepted image, in pixels", least=1,
                                     unset="what the memory has room for, 100 megapixels at most")
    max_images: int = setting(32, "images of one /predict_batch", least=1)
    timeout: int = setting(60, "seconds before a request is given up", least=1)
    upload_timeout: int = setting(30, "seconds a client may take to send its request", least=1)
    drain: float = setting(1.0, "seconds a stopping server goes on taking requests while /readyz says no", least=0)
    concurrency: int = setting(32, "images worked on or waiting; more are told to come back (503)", least=1)
    workers: int = setting(1, "worker processes", least=1)
    threads: int | None = setting(None, "threads of the engine in a worker", least=1,
                                  unset="the cores shared among the workers", old_unset=0)
    engine: str | None = setting(None, "engine to try first", choices=SERVING_ENGINES,
                                 unset="the fastest that passed")
    cors: str = setting("annotator", "origins that may call from a browser, with commas between; 'annotator' is port "
                                     "8890 of the host the service is called by")
    api_token: str | None = setting(None, "token that requests must carry", variable="API_TOKEN", unset="none")
    collect: int = setting(0, "number of least certain images to keep of a day", least=0, variable="COLLECT")
    collect_days: int = setting(30, "days they are kept", least=1)
    collect_path: str = setting("collected", "folder they are kept in")
    rules: str | None = setting(None, "folder of part rules, <name>.yaml each, for /predict?rules=<name>", unset="none")
    label_studio_url: str | None = setting(None, "Label Studio's address, where its ML backend may fetch images")
    label_studio_token: str | None = setting(None, "access token of Label Studio")
    label_studio_files: str | None = setting(None, "folder that Label Studio serves as local files")

    def __post_init__(self) -> None:
        check_bounds(self)

    @property
    def engine_threads(self) -> int:
        """Threads of the engine in each worker."""
        return self.threads or max(1, cores() // self.workers)


def is_zip_name(name: str) -> bool:
    """Whether a file's name ends as that of a zip does."""
    return name.lower().endswith(".zip")


def parse_size(text: str) -> tuple[int, int]:
    """`"256x320"` or `"256"` to (height, width); both multiples of 32, the stride of every encoder here."""
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text.strip().lower())
    if not match:
        raise ConfigError(f"size is {text!r}", "HEIGHTxWIDTH in pixels, such as 256x320")
    height = int(match[1])
    width = int(match[2] or height)
    if height % 32 or width % 32 or not height or not width:
        raise ConfigError(f"size is {height}x{width}", "multiples of 32",
                          f"try --size {max(32, round(height / 32) * 32)}x{max(32, round(width / 32) * 32)}")
    return height, width


def parse_duration(text: str) -> float:
    """`"15m"`, `"1h30m"`, `"90s"` or `"90"` to seconds."""
    match = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", text.strip().lower())
    if re.fullmatch(r"\d+(?:\.\d+)?", text.strip()):
        return float(text)
    if not match or not any(match.groups()):
        raise ConfigError(f"budget is {text!r}", "a time such as 15m, 90s or 1h30m")
    return sum(float(count or 0) * unit for count, unit in zip(match.groups(), (3600, 60, 1), strict=True))


def parse_fraction(text: str) -> float:
    """`"1%"` or `"0.01"` to 0.01."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", text.strip())
    fraction = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if not 0 <= fraction <= 1:
        raise ConfigError(f"{text!r} is no fraction", "a percentage such as 1%, or a number from 0 to 1")
    return fraction


def parse_nth(name: str, text: str, least: int = 1) -> tuple[int, int]:
    """`"3/16"` to (3, 16): the third of 16 equal parts.

    Args:
        name: of such a part, for the error.
        text: to be read.
        least: the smallest number of parts.
    """
    found = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text.strip())
    if not found or not 1 <= int(found[1]) <= int(found[2]) or int(found[2]) < least:
        raise ConfigError(f"{name} is {text!r}", f"the number of a {name} and of all {name}s, such as 3/16; the first "
                          "is 1/16, the last 16/16" + (f"; at least {least} of them" if least > 1 else ""))
    return int(found[1]), int(found[2])


def format_size(size_hw: Sequence[int]) -> str:
    """(256, 320) to `"256x320"`."""
    return f"{size_hw[0]}x{size_hw[1]}"
