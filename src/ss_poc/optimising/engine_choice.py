"""Which engine serves the model fastest without costing accuracy: measured here, judged on the validation split.

    python -m ss_poc.optimise --img_dir_name demo --model_name v_1
    python -m ss_poc.optimise --img_dir_name demo --model_name v_1 --engine openvino
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..core.config import ENGINES, OptimiseConfig, Rule
from ..core.errors import EngineError
from ..core.files import atomic_path, sha256_file
from ..core.host import cores
from ..core.images import resize_image
from ..core.model_spec import GRAPH_FILE, ModelSpec, read_spec, write_spec
from ..core.platt import Calibration
from ..core.refine import refine
from ..core.rules_file import read_rules
from ..core.run import Run as TrainedRun
from ..core.run import RunPaths, update_run
from ..core.scores import dice
from ..core.settings import from_flags
from ..core.text_table import counted, figure, text_table
from ..core.tiles import map_size, windows
from ..data.dataset import Sample, load_trained
from ..inference.engines import INT8_FILES, Run, load_engine
from ..inference.predictor import Predictor
from .calibration import calibrated

__all__ = ["Candidate", "acceptable", "compared", "main", "optimise"]

# A candidate may cost so much mean Dice, and so much of any class.
MOST_MEAN, MOST_CLASS = 0.005, 0.02
# Windows of training images that int8 ranges are found on.
CALIBRATION = 100
# Windows of validation images that tell whether engines agree.
COMPARED = 1000


@dataclass(frozen=True)
class Candidate:
    """One row of the table.

    Attributes:
        engine: its name; "keras" is the reference.
        kept: whether it may serve; `why` says why or why not.
        p50_ms, p95_ms: of a window, one at a time, all cores; nan where it does not run.
        images_per_s: windows a second in the same test.
        megabytes: size of its files.
        dice: mean Dice of each class on the validation split, post-processed.
    """

    engine: str
    kept: bool
    why: str
    p50_ms: float = float("nan")
    p95_ms: float = float("nan")
    images_per_s: float = float("nan")
    megabytes: float = float("nan")
    dice: Mapping[str, float] = dataclasses.field(default_factory=dict)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    config = from_flags(OptimiseConfig, argv, "Find the engine that serves the model fastest at the same accuracy.",
                        examples=__doc__)
    optimise(RunPaths(Path(config.result), config.data_set, config.model_name).require(), config.engine,
             config.rounds)


def optimise(paths: RunPaths, engine: str | None = None, rounds: int = 40) -> list[Candidate]:
    """Measure every engine, write the int8 graph if it passed, and name the engines that may serve in the spec.

    Args:
        paths: of a run that was exported and searched.
        engine: one of ENGINES to be preferred whatever its speed; None for the fastest that passed.
        rounds: timed predictions of each engine.

    Raises:
        EngineError: `engine` does not run here, or no engine may serve; the run stays as it was.
    """
    run, rules = TrainedRun.read(paths), read_rules(paths.rules)
    spec = dataclasses.replace(read_spec(paths.export), engines=("onnxruntime",), twins={})
    dataset = load_trained(run)
    train, valid = (dataset.samples_of(names) for names in (run.split.train, run.split.valid))
    with atomic_path(paths.export) as folder:
        folder.mkdir()
        (folder / GRAPH_FILE).write_bytes((paths.export / GRAPH_FILE).read_bytes())
        runs, refused = _engines(folder, spec, train)
        if engine and engine not in runs:
            raise EngineError(f"engine {engine} cannot serve: {refused.get(engine, 'it does not run here')}",
                              "one that runs on this machine", "choose another --engine")
        table = _measure({"keras": _keras(run, paths), **runs}, spec, rules, valid, rounds, folder)
        table += [Candidate(name, False, reason) for name, reason in refused.items()]
        passed = sorted((row for row in table if row.kept and row.engine != "keras"), key=lambda row: row.p50_ms)
        names = [row.engine for row in passed]
        names = [engine, *(name for name in names if name != engine)] if engine else names
        if not names:
            raise _none_passed(table)
        if "openvino-int8" not in names:
            for file in INT8_FILES:
                (folder / file).unlink(missing_ok=True)
        spec = dataclasses.replace(spec, engines=tuple(names), twins={
            file: sha256_file(folder / file) for file in INT8_FILES if (folder / file).is_file()})
        write_spec(folder, spec)
    update_run(paths, engines=table, engine=names[0], engine_settings={"engine": engine, "rounds": rounds})
    print("\n" + engine_table(table) + f"\n\nserved by {names[0]}" + (", as you asked" if engine else
          ", the fastest that passed"), flush=True)
    return table


def _none_passed(table: Sequence[Candidate]) -> EngineError:
    reasons = [f"{row.engine}: {row.why}" for row in table if row.engine != "keras"]
    return EngineError("no engine may serve this model: " + "; ".join(reasons),
                       "one that gives the masks that Keras gives",
                       "export the model again (python -m ss_poc.export), or say which one is to serve (--engine)")


def _engines(folder: Path, spec: ModelSpec, train: Sequence[Sample]) -> tuple[dict[str, Run], dict[str, str]]:
    """Engines that run here, and the reasons of those that do not."""
    runs: dict[str, Run] = {}
    refused: dict[str, str] = {}
    for name in ENGINES:
        try:
            if name == "openvino-int8":
                _quantise(folder, spec, train)
            runs[name] = load_engine(name, folder)
        except EngineError as error:
            refused[name] = str(error).splitlines()[0]
    return runs, refused


def _quantise(folder: Path, spec: ModelSpec, train: Sequence[Sample]) -> None:
    """Write the int8 form of the graph, its ranges found on windows of training images (NNCF, post-training)."""
    try:
        import nncf
        import openvino
    except ImportError as error:
        raise EngineError(f"openvino-int8 cannot be made: {error}", fix="pip install openvino nncf") from error
    nncf.set_log_level("ERROR")
    # Images with objects first: the ranges of their activations are those that matter.
    chosen = sorted(train, key=lambda sample: not sample.regions)[:CALIBRATION]
    pictures = [window for sample in tqdm(chosen, desc="calibrate", unit="image", disable=None)
                for window in _windows(sample, spec)[:max(1, CALIBRATION // len(chosen))]]
    model = openvino.Core().read_model(folder / GRAPH_FILE)
    quantised = nncf.quantize(model, nncf.Dataset(pictures), subset_size=len(pictures))
    try:
        openvino.save_model(quantised, folder / INT8_FILES[0], compress_to_fp16=False)
    except RuntimeError as error:  # on a full disk: "iostream error"
        raise EngineError(f"openvino-int8 cannot be written, is the disk full? ({error})") from error


def _windows(sample: Sample, spec: ModelSpec) -> list[np.ndarray]:
    """What the network gets of a photograph, (1, h, w, 3) float32 each; those with an object first."""
    image = resize_image(sample.image(), map_size(sample.size_hw, spec.scale, spec.size_hw))
    mask = resize_image(np.uint8(255) * sample.mask(len(spec.labels)).max(axis=-1, keepdims=True).repeat(3, axis=-1),
                        image.shape[:2])
    both = zip(windows(image, spec.size_hw), windows(mask, spec.size_hw), strict=True)
    ordered = sorted(both, key=lambda pair: -int(pair[1][2].max()))
    return [window[2][None].astype(np.float32) for window, _ in ordered]


def _keras(run: TrainedRun, paths: RunPaths) -> Run:
    """The trained model itself, compiled, and calibrated as the graph is."""
    from ..networks.build import build_model  # quietens TensorFlow before it loads
    from ..networks.views import with_views
    from ..networks.weights import load_weights

    import tensorflow as tf  # isort: skip

    model = build_model(run.config.architecture, run.encoder, len(run.data.labels), run.size_hw)
    load_weights(model, paths.best_model())
    model = with_views(model, run.config.views)
    step = tf.function(lambda batch: model(batch, training=False), reduce_retracing=True)
    calibrations = [Calibration(*values) for values in run.calibration.get("classes", {}).values()]
    return lambda batch: calibrated(step(tf.constant(batch)).numpy(), calibrations)


def _measure(runs: Mapping[str, Run], spec: ModelSpec, rules: Sequence[Rule], valid: Sequence[Sample], rounds: int,
             folder: Path) -> list[Candidate]:
    """A row for each engine that runs, the reference first."""
    seconds = _times(runs, _windows(valid[0], spec)[0], rounds)
    scores = _dices(runs, spec, rules, valid)
    rows = []
    for name, times in seconds.items():
        kept, why = acceptable(scores[name], scores["keras"])
        files = INT8_FILES if name == "openvino-int8" else (GRAPH_FILE,)
        size = sum((folder / file).stat().st_size for file in files) / 1e6 if name != "keras" else float("nan")
        p50, p95 = (float(value) * 1e3 for value in np.quantile(times, (0.5, 0.95)))
        rows.append(Candidate(name, kept, "the reference" if name == "keras" else why, p50, p95,
                              float(1 / np.mean(times)), size,
                              dict(zip(spec.labels, map(float, scores[name]), strict=True))))
    return rows


def _times(runs: Mapping[str, Run], window: np.ndarray, rounds: int) -> dict[str, list[float]]:
    """Seconds of each prediction, the engines in turns: what else the machine does meets all of them alike."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in tqdm(range(rounds + 3), desc="time", unit="round", disable=None):
        for name, run in runs.items():
            began = time.perf_counter()
            run(window)
            if number >= 3:  # the first ones allocate
                seconds[name].append(time.perf_counter() - began)
    return seconds


def _dices(runs: Mapping[str, Run], spec: ModelSpec, rules: Sequence[Rule],
           valid: Sequence[Sample]) -> dict[str, np.ndarray]:
    """Mean Dice of each class over validation images under the rules, (C,); of many large ones over 1 in n."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in runs}
    predictors = {name: Predictor(spec, rules, run) for name, run in runs.items()}
    for sample in tqdm(compared(valid, predictors["keras"]), desc="judge", unit="image", disable=None):
        image, truth = sample.image(), sample.mask(len(rules))
        for name, predictor in predictors.items():
            found[name].append(dice(truth, refine(predictor.probability(image), rules, truth.shape[:2])))
    return {name: np.mean(values, axis=0) for name, values in found.items()}


def compared(valid: Sequence[Sample], predictor: Predictor) -> list[Sample]:
    """Images that engines are compared on, every class among them: all, or every n-th of each set of classes."""
    step = -(-sum(predictor.window_count(sample.size_hw) for sample in valid) // COMPARED)
    ordered = sorted(valid, key=lambda sample: (sorted(sample.classes), sample.name))
    chosen = ordered[::step]
    seen = frozenset().union(*(sample.classes for sample in chosen))
    for sample in ordered:
        if not sample.classes <= seen:
            chosen.append(sample)
            seen |= sample.classes
    return chosen


def acceptable(scores: np.ndarray, reference: np.ndarray) -> tuple[bool, str]:
    """Whether a candidate's Dice of each class, (C,), is as good as the reference's, and why or why not."""
    lost, worst = float((reference - scores).mean()), float((reference - scores).max())
    if lost > MOST_MEAN:
        return False, f"costs {lost:.4f} of mean Dice, more than {MOST_MEAN}"
    if worst > MOST_CLASS:
        return False, f"costs {worst:.4f} of a class' Dice, more than {MOST_CLASS}"
    return True, f"mean Dice {0 - lost:+.4f}"


def engine_table(rows: Sequence[Candidate]) -> str:
    """Set the measured engines into a table for people."""
    cells = [["engine", "p50 ms", "p95 ms", "images/s", "MB", "Dice", "kept", f"why  ({counted(cores(), 'core')})"]]
    for row in rows:
        score = float(np.mean(list(row.dice.values()))) if row.dice else None
        cells.append([row.engine, figure(row.p50_ms, ".1f"), figure(row.p95_ms, ".1f"), figure(row.images_per_s, ".1f"),
                      figure(row.megabytes, ".1f"), figure(score, ".4f"), "yes" if row.kept else "no", row.why])
    return text_table(cells, left=(0, 6, 7))
