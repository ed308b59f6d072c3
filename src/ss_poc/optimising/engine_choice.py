"""Which engine serves the model fastest without costing accuracy: measured here, judged on the validation split.

    python -m ss_poc.optimise --img_dir_name demo --model_name v_1
    python -m ss_poc.optimise --img_dir_name demo --model_name v_1 --engine openvino
"""

from __future__ import annotations

import dataclasses
import math
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
from ..core.parallel import ahead
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
from ..inference.kept import KeptMaps
from ..inference.predictor import Predictor

__all__ = ["Candidate", "acceptable", "compared", "main", "optimise", "spread"]

# A candidate may cost so much mean Dice, and so much of any class.
MOST_MEAN, MOST_CLASS = 0.005, 0.02
# The graph in this engine gives what Keras gives (`export`).
REFERENCE = "onnxruntime"
# Pixels of training images that int8 ranges are found on, in windows; and the fewest and most of these.
CALIBRATION_PIXELS, FEWEST, MOST = 3_000_000, 20, 100
# An engine is timed for so many seconds, with all others, and at least in so many rounds.
MOST_SECONDS, FEWEST_ROUNDS = 5.0, 13
# Windows of validation images that tell whether engines agree.
COMPARED = 300


@dataclass(frozen=True)
class Candidate:
    """One row of the table.

    Attributes:
        engine: its name; the others are compared with ONNX Runtime.
        kept: whether it may serve; `why` says why or why not.
        p50_ms, p95_ms: of a window, one at a time, all cores; nan where it does not run.
        images_per_s: windows a second in the same test.
        megabytes: size of its files.
        dice: mean Dice of each class on the validation split, post-processed; empty where it was not judged.
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


def optimise(paths: RunPaths, engine: str | None = None, rounds: int = 40,
             maps: KeptMaps | None = None) -> list[Candidate]:
    """Measure every engine, write the int8 graph if it passed, and name the engines that may serve in the spec.

    Args:
        paths: of a run that was exported and searched.
        engine: one of ENGINES to be preferred whatever its speed; None for the fastest that passed.
        rounds: timed predictions of each engine.
        maps: keeps the maps of the images that validate, of the engine that serves; has those of ONNX Runtime already.

    Raises:
        EngineError: `engine` does not run here; the run stays as it was.
    """
    run, rules = TrainedRun.read(paths), read_rules(paths.rules)
    spec = dataclasses.replace(read_spec(paths.export), engines=(REFERENCE,), twins={})
    dataset = load_trained(run)
    train, valid = (dataset.samples_of(names) for names in (run.split.train, run.split.valid))
    with atomic_path(paths.export) as folder:
        folder.mkdir()
        (folder / GRAPH_FILE).write_bytes((paths.export / GRAPH_FILE).read_bytes())
        runs, refused = _engines(folder, spec, train)
        if engine and engine not in runs:
            raise EngineError(f"engine {engine} cannot serve: {refused.get(engine, 'it does not run here')}",
                              "one that runs on this machine", "choose another --engine")
        seconds = _times(runs, _windows(valid[0], spec)[0], rounds)
        table = _rows(seconds, engine, _Judge(folder, spec, rules, valid, maps or KeptMaps()))
        table += [Candidate(name, False, reason) for name, reason in refused.items()]
        names = [row.engine for row in sorted(table, key=lambda row: row.p50_ms) if row.kept]
        names = [engine, *(name for name in names if name != engine)] if engine else names
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
    most = min(MOST, max(FEWEST, CALIBRATION_PIXELS // math.prod(spec.size_hw)))
    chosen = spread(train, most)
    pictures = [window for sample in tqdm(chosen, desc="int8", unit="image", disable=None)
                for window in _windows(sample, spec)[:max(1, most // len(chosen))]]
    model = openvino.Core().read_model(folder / GRAPH_FILE)
    quantised = nncf.quantize(model, nncf.Dataset(pictures), subset_size=len(pictures))
    try:
        openvino.save_model(quantised, folder / INT8_FILES[0], compress_to_fp16=False)
    except RuntimeError as error:  # on a full disk: "iostream error"
        raise EngineError(f"openvino-int8 cannot be written, is the disk full? ({error})") from error


def spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Choose at most so many images to find int8 ranges on: those with objects, whose ranges matter, then others.

    They are taken evenly from the list, whose neighbours may be of one lot: from the first 50 photographs of a set of
    two lots came an int8 graph that found nothing; from 20 taken evenly, one that found as much as the float graph.
    """
    objects = [sample for sample in samples if sample.regions]
    others = [sample for sample in samples if not sample.regions]
    chosen = [objects[index] for index in _evenly(len(objects), count)]
    return chosen + [others[index] for index in _evenly(len(others), count - len(chosen))]


def _evenly(length: int, count: int) -> list[int]:
    """So many places of a list of this length, or all, as far from each other as can be."""
    return [int(place) for place in np.linspace(0, length - 1, min(count, length))]


def _windows(sample: Sample, spec: ModelSpec) -> list[np.ndarray]:
    """What the network gets of a photograph, (1, h, w, 3) float32 each; those with an object first."""
    image = resize_image(sample.image(), map_size(sample.size_hw, spec.scale, spec.size_hw))
    mask = resize_image(np.uint8(255) * sample.mask(len(spec.labels)).max(axis=-1, keepdims=True).repeat(3, axis=-1),
                        image.shape[:2])
    both = zip(windows(image, spec.size_hw), windows(mask, spec.size_hw), strict=True)
    ordered = sorted(both, key=lambda pair: -int(pair[1][2].max()))
    return [window[2][None].astype(np.float32) for window, _ in ordered]


@dataclass(frozen=True)
class _Judge:
    """Which Dice an engine gives on the images that validate, under the rules."""

    folder: Path
    spec: ModelSpec
    rules: Sequence[Rule]
    valid: Sequence[Sample]
    maps: KeptMaps

    def dices(self, engine: str) -> np.ndarray:
        """Mean Dice of each class, (C,); of many large images over 1 in n."""
        run = load_engine(engine, self.folder, streams=cores())  # images side by side
        predictor = Predictor(self.spec, self.rules, run, engine=engine)
        samples = compared(self.valid, predictor)

        def look(index: int) -> np.ndarray:
            sample = samples[index]
            truth = sample.mask(len(self.rules))
            probability = self.maps.probability(predictor, sample.name, sample.image)
            return dice(truth, refine(probability, self.rules, truth.shape[:2]))

        found = ahead(look, len(samples), cores())
        return np.mean(list(tqdm(found, total=len(samples), desc=engine, unit="image", disable=None)), axis=0)

    def megabytes(self, engine: str) -> float:
        """Size of an engine's files."""
        files = INT8_FILES if engine == "openvino-int8" else (GRAPH_FILE,)
        return sum((self.folder / file).stat().st_size for file in files) / 1e6


def _rows(seconds: Mapping[str, Sequence[float]], asked: str | None, judge: _Judge) -> list[Candidate]:
    """A row for each engine that runs, by speed. The one that was asked for and the reference are judged, and of those
    that are faster the fastest, until one passes."""
    reference, rows, passed = judge.dices(REFERENCE), [], False
    for name in sorted(seconds, key=lambda name: float(np.median(seconds[name]))):
        if name == REFERENCE:
            scores, (kept, why), passed = reference, (True, "the reference"), True
        elif name == asked or not passed:
            scores = judge.dices(name)
            kept, why = acceptable(scores, reference)
            passed |= kept
        else:
            scores, (kept, why) = None, (False, "not judged, as a faster one passed")
        p50, p95 = (float(value) * 1e3 for value in np.quantile(seconds[name], (0.5, 0.95)))
        dices = {} if scores is None else dict(zip(judge.spec.labels, map(float, scores), strict=True))
        rows.append(Candidate(name, kept, why, p50, p95, float(1 / np.mean(seconds[name])), judge.megabytes(name),
                              dices))
    return rows


def _times(runs: Mapping[str, Run], window: np.ndarray, rounds: int) -> dict[str, list[float]]:
    """Seconds of each prediction, the engines in turns: what else the machine does meets all of them alike."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    until = time.perf_counter() + MOST_SECONDS
    for number in tqdm(range(rounds + 3), desc="time", unit="round", disable=None):
        if number >= FEWEST_ROUNDS and time.perf_counter() > until:  # a large network on few cores
            break
        for name, run in runs.items():
            began = time.perf_counter()
            run(window)
            if number >= 3:  # the first ones allocate
                seconds[name].append(time.perf_counter() - began)
    return seconds


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
