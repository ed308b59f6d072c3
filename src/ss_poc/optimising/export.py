"""Turn the best model of a run into the one graph that is served.

    python -m ss_poc.export --img_dir_name demo --model_name v_1
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..core.config import ExportConfig
from ..core.errors import ModelError
from ..core.files import atomic_path, sha256_file
from ..core.host import cores
from ..core.images import decode_image, resize_image
from ..core.model_spec import GRAPH_FILE, ModelSpec, write_spec
from ..core.parallel import ahead
from ..core.platt import IDENTITY
from ..core.rivals import compete
from ..core.run import Run, RunPaths, update_run
from ..core.settings import from_flags
from ..core.tiles import map_size, windows
from ..data.dataset import Sample, load_trained
from ..data.split import workpieces
from ..inference.kept import KeptMaps
from ..inference.predictor import Predictor
from .calibration import calibrated, count_pixels, cross_fitted, expected_error, fit, write_into
from .probe_weight import choose_weight

__all__ = ["compare", "export", "main", "sample_windows"]

TOLERANCE = 1e-4
# Photographs that are compared.
SAMPLES = 4
# Labelled photographs that must show one class each before none is expected to show two.
FEWEST_LABELLED = 20


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    config = from_flags(ExportConfig, argv, "Turn the best model of a run into the graph that is served.",
                        examples=__doc__)
    export(RunPaths(Path(config.result), config.data_set, config.model_name).require())


def export(paths: RunPaths, maps: KeptMaps | None = None) -> ModelSpec:
    """Write `export/model.onnx` and `export/model.json`, after the graph gave the same numbers as Keras.

    Args:
        paths: of a run that was trained.
        maps: keeps the maps of the images that validate, of ONNX Runtime.

    Raises:
        ModelError: the graph has more than one input or output, or differs from Keras by more than TOLERANCE.
    """
    from ..networks.build import default_encoder  # TensorFlow takes seconds to load
    from ..networks.onnx_file import convert

    run = Run.read(paths)
    config, data, size_hw, dataset = run.config, run.data, run.size_hw, load_trained(run)
    valid, exclusive = dataset.samples_of(run.split.valid), _exclusive(run, dataset.samples)
    model, features = _served(run, paths, valid, exclusive)
    images = sample_windows(run, size_hw)
    reference = np.asarray(model(images, training=False))
    with atomic_path(paths.export) as folder:
        folder.mkdir()
        convert(model, folder / GRAPH_FILE)
        difference = compare(folder / GRAPH_FILE, images, reference)
        spec = ModelSpec(paths.img_dir_name, paths.model_name, tuple(data.labels), tuple(data.colors),
                         tuple(data.category_ids), size_hw,
                         f"{config.architecture}/{run.encoder or default_encoder(config.architecture)}",
                         sha256_file(folder / GRAPH_FILE), run.scale, bit_depth=data.bit_depth,
                         value_range=data.levels.span)
        write_spec(folder, spec)
        maps = maps or KeptMaps()
        calibration = _calibrate(run, folder, maps)
        spec = dataclasses.replace(spec, sha256=sha256_file(folder / GRAPH_FILE), exclusive=exclusive)
        write_spec(folder, spec)
        if exclusive:
            maps.change("onnxruntime", compete)
    update_run(paths, export={"max_difference": difference, "sha256": spec.sha256,
                              "bytes": (paths.export / GRAPH_FILE).stat().st_size}, calibration=calibration,
               features=features)
    print(f"exported {paths.best_model().name} → {paths.export / GRAPH_FILE}, "
          f"largest difference to Keras {difference:.1e}", flush=True)
    _say(calibration, features, config.exclusive if exclusive else "no")
    return spec


def _served(run: Run, paths: RunPaths, valid: Sequence[Sample], exclusive: bool) -> tuple[Any, dict[str, Any]]:
    """The network that is served: all views of the best model, and its linear probe where there is one and it counts;
    how much that counts, and why."""
    from ..networks.build import build_model
    from ..networks.linear_probe import PROBE_FILE, enlarged, log_odds, probe_log_odds, read_probe, with_probe
    from ..networks.views import with_views
    from ..networks.weights import load_weights

    classes, views = len(run.data.labels), run.config.views
    model = build_model(run.config.architecture, run.encoder, classes, run.size_hw)
    load_weights(model, paths.best_model())
    if not (paths.model / PROBE_FILE).is_file():
        return with_views(model, views), {}
    probe = probe_log_odds(read_probe(paths.model / PROBE_FILE, classes), run.size_hw)
    weight, precision = choose_weight(run, valid, log_odds(model), enlarged(probe), exclusive)
    joined = with_probe(model, probe, weight, views) if weight else with_views(model, views)
    return joined, {"weight": weight, "precision": precision}


def _say(calibration: Mapping[str, Any], features: Mapping[str, Any], exclusive: str) -> None:
    if calibration:
        print(f"probabilities are calibrated: off by {calibration['before']:.3f} in the mean before, by "
              f"{calibration['after']:.3f} after, on images that it was not fitted to", flush=True)
    if features:
        print(f"features of ImageNet beside the network count {features['weight']:g} to its 1; average precision with "
              + ", ".join(f"{weight}: {precision:.3f}" for weight, precision in features["precision"].items()),
              flush=True)
    if exclusive != "no":
        print("no labelled photograph shows two classes, so classes compete on each (--exclusive no: they do not)"
              if exclusive == "auto" else "classes compete on each photograph, as you asked", flush=True)


def _exclusive(run: Run, samples: Sequence[Sample]) -> bool:
    """Whether classes compete on a photograph: as the user says, else as all labels tell where these are enough."""
    if run.config.exclusive != "auto":
        return run.config.exclusive == "yes" and len(run.data.labels) > 1
    shown = [len(sample.classes) for sample in samples if sample.classes]
    return len(run.data.labels) > 1 and len(shown) >= FEWEST_LABELLED and max(shown) == 1


def _calibrate(run: Run, folder: Path, maps: KeptMaps) -> dict[str, Any]:
    """Calibrate the graph in an export folder on the images that validate; what was done, {} for nothing.

    A model of good photographs alone stays as it is: what it finds is strange, and how often that is a defect nobody
    has labelled.
    """
    if run.config.good_only:
        return {}
    predictor = Predictor.load(folder, threads=1, engine="onnxruntime")  # images side by side, each on one core
    samples = load_trained(run).samples_of(run.split.valid)
    classes = len(predictor.spec.labels)

    def count(index: int) -> np.ndarray:
        sample = samples[index]
        return count_pixels(maps.probability(predictor, sample.name, sample.image), sample.mask(classes))

    counts = list(tqdm(ahead(count, len(samples), cores()), total=len(samples), desc="calibrate", unit="image",
                       disable=None))
    calibrations = fit(counts)
    if all(item == IDENTITY for item in calibrations):
        return {}
    write_into(folder / GRAPH_FILE, calibrations)
    maps.change(predictor.engine, lambda probability: calibrated(probability, calibrations))
    groups = workpieces([sample.name for sample in samples], run.config.group)
    return {"before": expected_error(counts, [[IDENTITY] * classes] * len(counts)),
            "after": expected_error(counts, cross_fitted(counts, groups)),
            "classes": {label: [item.factor, item.offset]
                        for label, item in zip(predictor.spec.labels, calibrations, strict=True)}}


def sample_windows(run: Run, size_hw: Sequence[int]) -> np.ndarray:
    """What the network gets of a few validation photographs, (N, h, w, 3) float32 in 0..255.

    Not of noise: a network that never saw any answers it by chance. One that trained for fifteen minutes (U-Net over
    EfficientNet-B0) gave the same to 3e-7 on photographs in Keras and in ONNX Runtime; on noise Keras itself differed
    by 2e-4, eager from compiled, and ONNX Runtime by 1e-2.
    """
    folder, names = Path(run.data.img_path), run.split.valid
    middles = []
    for name in names[::-(-len(names) // SAMPLES)]:
        image = decode_image(folder / name, levels=run.data.levels)
        parts = [*windows(resize_image(image, map_size(image.shape[:2], run.scale, size_hw)), size_hw)]
        middles.append(parts[len(parts) // 2][2].astype(np.float32))  # a copy: a view would keep the whole photograph
    return np.stack(middles)


def compare(path: Path, images: np.ndarray, reference: np.ndarray) -> float:
    """Largest absolute difference of the graph's output to `reference`."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(f"the exported graph has {len(inputs)} inputs and {len(outputs)} outputs", "one of each",
                         "report this with the architecture and encoder you used")
    result = session.run(None, {inputs[0].name: images})[0]
    difference = float(np.abs(result - reference).max())
    if not difference <= TOLERANCE:
        raise ModelError(f"the exported graph differs from Keras by {difference:.2e}", f"at most {TOLERANCE:.0e}",
                         "report this with the architecture and encoder you used")
    return difference
