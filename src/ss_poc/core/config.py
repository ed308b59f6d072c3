"""Every setting, once: name, default, meaning and check. Flags, environment and service all read these.

    python -m ss_poc.config --img_path photos --epoch 9     (check flags of train; print the run's names, one a line)
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from .errors import ConfigError
from .host import cores

__all__ = [
    "ARCHITECTURES", "CUDA_ENGINE", "ENGINES", "LOSSES", "NAME_PATTERN", "OPTIMIZERS", "PRECISIONS", "PRESETS",
    "SERVING_ENGINES", "VIEWS", "DeployConfig", "ExportConfig", "OptimiseConfig", "PredictConfig", "ReportConfig",
    "Rule", "SearchConfig", "ServeConfig", "TrainConfig", "format_size", "from_environment", "from_flags",
    "parse_duration", "parse_part", "parse_size",
]

ARCHITECTURES = ("compact", "unet", "unetpp", "fpn", "linknet", "pspnet")
ENGINES = ("onnxruntime", "openvino", "openvino-bf16", "openvino-int8")
CUDA_ENGINE = "onnxruntime-cuda"
SERVING_ENGINES = (*ENGINES, CUDA_ENGINE)
PRESETS = ("fast", "balanced", "accurate")
PRECISIONS = ("", "float32", "mixed_bfloat16", "mixed_float16")
VIEWS = ("single", "mirrored", "upside_down", "turned", "all")
LOSSES = ("balanced_dice", "balanced", "bce_dice", "bce_logdice", "focal", "tversky", "lovasz")
OPTIMIZERS = ("muon", "adamw")
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

T = TypeVar("T")


def setting(default: Any, meaning: str, choices: Sequence[str] = (), least: float | None = None,
            most: float | None = None, variable: str = "") -> Any:
    """A dataclass field that knows its meaning, its bounds and, if it is no SS_POC_<NAME>, its variable."""
    return field(default=default, metadata={"meaning": meaning, "choices": choices, "least": least, "most": most,
                                            "variable": variable})


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
        dice: mean Dice of the class on the validation part under this rule (empty against empty is 1).
    """

    label: str
    color: str
    size_hw: tuple[int, int]
    proba: float = 0.5
    pad: int = 0
    reduce_size: int = 0
    convex: bool = False
    dice: float = float("nan")


@dataclass(frozen=True)
class RunConfig:
    """Which run: shared by every stage that works on one."""

    img_dir_name: str = setting("", "name of the data set under result/ (default: last part of img_path)")
    model_name: str = setting("v_1", "name of this version")
    result: str = setting("result", "folder of all runs")

    def __post_init__(self) -> None:
        check_bounds(self)
        for name in ("img_dir_name", "model_name"):
            value = getattr(self, name)
            if (value or name == "model_name") and not NAME_PATTERN.fullmatch(value):
                raise ConfigError(f"{name} is {value!r}", "letters, digits, '.', '_' and '-', at most 100 of them",
                                  f"choose another {name}; it becomes a folder name")


@dataclass(frozen=True)
class TrainConfig(RunConfig):
    """Settings of `python -m ss_poc.train`."""

    json_path: str = setting("", "COCO json (default: the newest .exports/*.json of img_path)")
    img_path: str = setting("coco-annotator/datasets/demo", "folder of the images")
    budget: str = setting("", "time to train in, such as 15m, 90s or 2h; then epoch and patience do not count")
    epoch: int = setting(50, "upper bound of epochs", least=1)
    preset: str = setting("balanced", "smaller and faster, or larger and slower network", choices=PRESETS)
    batch_size: int = setting(0, "crops a step; 0: chosen from images and memory", least=0)
    architecture: str = setting("", "network (default: compact)", choices=("", *ARCHITECTURES))
    encoder: str = setting("", "encoder of the network, such as efficientnetb0 (default: the architecture's own)")
    weights: str = setting("", "none, synthetic (learned on drawn surfaces; in the package), imagenet (downloads) or a "
                               ".keras file of ours to go on from (default: chosen)")
    freeze: int = setting(-1, "epochs with a frozen encoder; -1: 2 when going on from weights, else 0", least=-1)
    size: str = setting("", "network input as HEIGHTxWIDTH, such as 256x320; alone: whole images are squeezed into it")
    scale: float = setting(0.0, "network pixels a pixel of the photograph; 0: chosen from the objects", least=0.0,
                           most=4.0)
    crop: str = setting("", "HEIGHTxWIDTH of the crops to train on (default: from the images)")
    sampling: float = setting(-1.0, "part of the crops drawn around an object; -1: chosen; 0: all at random",
                              least=-1.0, most=1.0)
    mosaic: float = setting(-1.0, "part of the crops put together from four smaller ones; -1: chosen", least=-1.0,
                            most=1.0)
    loss: str = setting("", "loss (default: chosen)", choices=("", *LOSSES))
    optimizer: str = setting("", "how gradients become steps (default: chosen)", choices=("", *OPTIMIZERS))
    lr: float = setting(0.0, "highest learning rate; 0: chosen", least=0.0, most=10.0)
    ema: float = setting(-1.0, "momentum of the moving average of the weights; -1: chosen, 0: none", least=-1.0,
                         most=0.9999)
    seed: int = setting(0, "seed of split, weights, order and augmentation", least=0)
    valid: float = setting(0.0, "part of the images that validates; 0: a fifth, less of many large ones", least=0.0,
                           most=0.9)
    group: str = setting("", "regular expression that finds the part's name in a photograph's: photographs of one part "
                             "train or validate together")
    patience: int = setting(12, "epochs without progress before it stops", least=1)
    augmentation: str = setting("", "albumentations pipeline as yaml (default: flips, turns, scale, light, noise)")
    strength: float = setting(-1.0, "strength of the default augmentation; -1: chosen", least=-1.0, most=2.0)
    views: str = setting("", "mirror images whose answers are averaged when serving (default: chosen)",
                         choices=("", *VIEWS))
    precision: str = setting("", "arithmetic of the network (default: the fastest that is safe)", choices=PRECISIONS)
    xla: bool = setting(False, "compile the training step with XLA")
    gpus: int = setting(0, "GPUs to use; 0: all there are", least=0)
    cache_mb: int = setting(0, "memory for decoded images; 0: a quarter of what is free", least=0)
    resume: bool = setting(False, "go on from the last whole epoch of this run")
    reuse: bool = setting(False, "use a finished run of this name, go on with an interrupted one")
    overwrite: bool = setting(False, "throw away a finished run of the same name")

    def __post_init__(self) -> None:
        super().__post_init__()
        for size in (self.size, self.crop):
            if size:
                parse_size(size)
        if self.budget and self.seconds < 20:
            raise ConfigError(f"budget is {self.budget!r}", "at least 20 s, of which 10 go by before the first step")
        if not (self.weights in ("", "none", "synthetic", "imagenet") or self.weights.endswith(".keras")):
            raise ConfigError(f"weights is {self.weights!r}", "none, synthetic, imagenet or the path of a .keras file")
        try:
            re.compile(self.group)
        except re.error as error:
            raise ConfigError(f"group is {self.group!r}: {error}", "a regular expression, such as '^[^_]+' for what "
                              "comes before the first _ of a name") from error
        if self.resume + self.reuse + self.overwrite > 1:
            raise ConfigError("more than one of resume, reuse and overwrite is set", "one of them at most",
                              "drop those you do not mean")

    @property
    def seconds(self) -> float:
        """`budget` in seconds; 0 where there is none."""
        return parse_duration(self.budget) if self.budget else 0.0

    @property
    def data_set(self) -> str:
        """`img_dir_name`, or the last part of `img_path`."""
        return self.img_dir_name or Path(self.img_path).resolve().name


@dataclass(frozen=True)
class ExportConfig(RunConfig):
    """Settings of `python -m ss_poc.export`."""


@dataclass(frozen=True)
class SearchConfig(RunConfig):
    """Settings of `python -m ss_poc.post_processing`."""

    workers: int = setting(0, "threads; 0: one a core", least=0)
    miss_cost: float = setting(0.0, "what a missed defective image costs, in false alarms; 0: anything marked is a "
                                    "defect", least=0.0)
    max_false_alarm: str = setting("", "part of the clean images that may be called defective, such as 1%%")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_false_alarm:
            parse_part(self.max_false_alarm)


@dataclass(frozen=True)
class OptimiseConfig(RunConfig):
    """Settings of `python -m ss_poc.optimise`."""

    engine: str = setting("", "serve with this engine (default: the fastest that passes)", choices=("", *ENGINES))
    rounds: int = setting(40, "timed predictions of each engine", least=3)


@dataclass(frozen=True)
class ReportConfig(RunConfig):
    """Settings of `python -m ss_poc.report`."""


@dataclass(frozen=True)
class DeployConfig(RunConfig):
    """Settings of `python -m ss_poc.bento_deploy`."""

    deploy: str = setting("deploy", "folder of all Bentos")


@dataclass(frozen=True)
class PredictConfig(RunConfig):
    """Settings of `python -m ss_poc.predict`."""

    images: str = setting("", "an image, a folder or a quoted glob")
    output: str = setting("", "where the results go (default: the run's prediction/)")
    threshold: float = setting(0.0, "probability threshold for every class; 0: the rules' own", least=0.0, most=1.0)
    rank: bool = setting(False, "instead, order the photographs by how much labelling them would teach")
    top: int = setting(20, "with rank: photographs to propose labels for", least=1)


@dataclass(frozen=True)
class ServeConfig:
    """Limits of the service; each is read from the environment as SS_POC_<NAME>, or as the variable it names."""

    max_bytes: int = setting(64 * 2**20, "largest accepted request body, in bytes", least=1024)
    max_pixels: int = setting(100_000_000, "largest accepted image, in pixels", least=1)
    max_images: int = setting(32, "images of one /predict_batch", least=1)
    timeout: int = setting(60, "seconds before a request is given up", least=1)
    upload_timeout: int = setting(30, "seconds a client may take to send its request", least=1)
    drain: float = setting(1.0, "seconds a stopping server goes on taking requests while /readyz says no", least=0)
    concurrency: int = setting(32, "images worked on or waiting; more are told to come back (503)", least=1)
    workers: int = setting(1, "worker processes", least=1)
    threads: int = setting(0, "threads of the engine in a worker; 0: the cores shared among the workers", least=0)
    engine: str = setting("", "engine to try first (default: the fastest that passed)", choices=("", *SERVING_ENGINES))
    cors: str = setting("annotator", "origins that may call from a browser, with commas between; 'annotator' is port "
                                     "8890 of the host the service is called by")
    api_token: str = setting("", "token that requests must carry (default: none)", variable="API_TOKEN")
    collect: int = setting(0, "least certain images of a day to keep (default: none)", least=0, variable="COLLECT")
    collect_days: int = setting(30, "days they are kept", least=1)
    collect_path: str = setting("collected", "folder they are kept in")
    label_studio_url: str = setting("", "Label Studio's address, where its ML backend may fetch images")
    label_studio_token: str = setting("", "access token of Label Studio")
    label_studio_files: str = setting("", "folder that Label Studio serves as local files")

    def __post_init__(self) -> None:
        check_bounds(self)

    @property
    def engine_threads(self) -> int:
        """Threads of the engine in each worker."""
        return self.threads or max(1, cores() // self.workers)


def check_bounds(config: Any) -> None:
    """Raise ConfigError where a setting is not one of its choices or is out of its bounds."""
    for item in fields(config):
        value, meta = getattr(config, item.name), item.metadata
        if meta.get("choices") and value not in meta["choices"]:
            raise ConfigError(f"{item.name} is {value!r}", "one of " + ", ".join(meta["choices"]))
        if meta.get("least") is not None and not value >= meta["least"]:
            raise ConfigError(f"{item.name} is {value}", f"at least {meta['least']:g}")
        if meta.get("most") is not None and not value <= meta["most"]:
            raise ConfigError(f"{item.name} is {value}", f"at most {meta['most']:g}")


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
    return sum(float(part or 0) * unit for part, unit in zip(match.groups(), (3600, 60, 1), strict=True))


def parse_part(text: str) -> float:
    """`"1%"` or `"0.01"` to 0.01."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", text.strip())
    part = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if not 0 <= part <= 1:
        raise ConfigError(f"{text!r} is no part of a whole", "a percentage such as 1%, or a number from 0 to 1")
    return part


def format_size(size_hw: Sequence[int]) -> str:
    """(256, 320) to `"256x320"`."""
    return f"{size_hw[0]}x{size_hw[1]}"


def _default(item: Field[Any]) -> Any:
    return None if item.default is MISSING else item.default


def from_flags(cls: type[T], argv: Sequence[str] | None, description: str, positional: Sequence[str] = ()) -> T:
    """Settings of `cls` from `--name value` flags; an unknown flag ends the program with status 2."""
    parser = argparse.ArgumentParser(description=description, allow_abbrev=False,
                                     formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    for item in fields(cls):  # type: ignore[arg-type]
        default, meaning = _default(item), item.metadata["meaning"]
        if item.name in positional:
            parser.add_argument(item.name, help=meaning)
        elif isinstance(default, bool):
            parser.add_argument(f"--{item.name}", action="store_true", help=meaning)
        else:
            parser.add_argument(f"--{item.name}", type=type(default), default=default, help=meaning,
                                choices=item.metadata["choices"] or None,
                                metavar=None if item.metadata["choices"] else item.name.upper())
    return cls(**vars(parser.parse_args(argv)))


def from_environment(cls: type[T], environment: Mapping[str, str] = os.environ) -> T:
    """Settings of `cls` from SS_POC_<NAME> variables, or those they name; an empty one counts as not set."""
    values = {}
    for item in fields(cls):  # type: ignore[arg-type]
        name = item.metadata["variable"] or f"SS_POC_{item.name.upper()}"
        text = environment.get(name, "")
        if text:
            kind = type(_default(item))
            try:
                values[item.name] = kind(text)
            except ValueError:
                raise ConfigError(f"{name} is {text!r}", f"a value of type {kind.__name__}",
                                  f"set {name} right or unset it") from None
    return cls(**values)


def main(argv: Sequence[str] | None = None) -> None:
    """Check flags of train; print result, img_dir_name, model_name, img_path, then what training reads, a line each.

    Needs no package.
    """
    config = from_flags(TrainConfig, argv, "Train a network on a COCO json.")
    weights = Path(config.weights) if config.weights.endswith(".keras") else Path()
    # Where weights lie in their run's folder, that says what they are for.
    files = [config.img_path, config.json_path, config.augmentation,
             str(weights.parents[1] if weights.parent.name == "model" else weights) if weights.name else ""]
    print(config.result, config.data_set, config.model_name, config.img_path, *filter(None, files), sep="\n")
