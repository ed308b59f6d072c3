"""What inference must know of a graph: `model.json` beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import ArtifactError
from .files import read_json, sha256_file, write_json
from .levels import FULL_DEPTH, Levels

__all__ = ["GRAPH_FILE", "SPEC_FILE", "ModelSpec", "read_spec", "write_spec"]

GRAPH_FILE = "model.onnx"
SPEC_FILE = "model.json"
LISTS = ("labels", "colors", "category_ids", "size_hw", "engines", "value_range")


@dataclass(frozen=True)
class ModelSpec:
    """What inference must know of a graph.

    Attributes:
        name: data set the model was trained on.
        version: `model_name` of the run.
        labels, colors: one a channel, in channel order.
        category_ids: ids of the training json, in channel order.
        size_hw: (height, width) of the graph's input, an RGB image as float32 in 0..255, (N, height, width, 3).
        scale: network pixels a pixel of the image, which is cut into overlapping windows of `size_hw`; 0: the whole
            image is squeezed into `size_hw`.
        network: architecture and encoder, for people.
        sha256: digest of the graph file.
        engines: those that may serve it, the preferred one first.
        twins: other files of the graph, such as its int8 form, and their digests.
        bit_depth: bits that the training's photographs use in files of 16 bits.
        value_range: values of its float, signed and 32-bit photographs that become 0 and 255; None: it had none.
        exclusive: whether a photograph shows one class at most, so that classes compete on it (`core.rivals`).
    """

    name: str
    version: str
    labels: tuple[str, ...]
    colors: tuple[str, ...]
    category_ids: tuple[int, ...]
    size_hw: tuple[int, int]
    network: str
    sha256: str
    scale: float = 0.0
    engines: tuple[str, ...] = ("onnxruntime",)
    twins: Mapping[str, str] = dataclasses.field(default_factory=dict)
    bit_depth: int = FULL_DEPTH
    value_range: tuple[float, float] | None = None
    exclusive: bool = False

    @property
    def levels(self) -> Levels:
        """How photographs of more than 8 bits become 8 bits."""
        return Levels(self.bit_depth, self.value_range)


def read_spec(folder: Path) -> ModelSpec:
    """Spec of the graph in an export folder, after its checksum was found right.

    Raises:
        ArtifactError: spec or graph is missing, damaged or foreign.
    """
    values = read_json(folder / SPEC_FILE)
    try:
        spec = ModelSpec(**{**values, **{name: tuple(values[name]) for name in LISTS if values.get(name) is not None}})
        if len({len(spec.labels), len(spec.colors), len(spec.category_ids)}) > 1 or len(spec.size_hw) != 2:
            raise TypeError("lists of different lengths")
        if spec.bit_depth not in range(8, FULL_DEPTH + 1):
            raise TypeError(f"bit_depth is {spec.bit_depth!r}")
        if spec.value_range and not (len(spec.value_range) == 2 and spec.value_range[0] < spec.value_range[1]):
            raise TypeError(f"value_range is {spec.value_range!r}")
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"{folder / SPEC_FILE} is not a spec of ours ({error})", "what `ss_poc.export` writes",
                            "export the model again") from None
    for name, expected in {GRAPH_FILE: spec.sha256, **spec.twins}.items():
        _check_digest(folder / name, expected)
    return spec


def write_spec(folder: Path, spec: ModelSpec) -> None:
    """Write the spec into an export folder. What earlier versions do not know is left out where it says nothing new."""
    values = dataclasses.asdict(spec)
    if spec.bit_depth == FULL_DEPTH:
        del values["bit_depth"]
    if spec.value_range is None:
        del values["value_range"]
    if not spec.exclusive:
        del values["exclusive"]
    write_json(folder / SPEC_FILE, values)


def _check_digest(path: Path, expected: str) -> None:
    if not path.is_file():
        raise ArtifactError(f"{path} is missing", "the exported graph", "export the model again")
    digest = sha256_file(path)
    if digest != expected:
        raise ArtifactError(f"{path} has the checksum {digest[:12]}…", f"{str(expected)[:12]}…, as {SPEC_FILE} says",
                            "copy or export the model again; this file is damaged or foreign")
