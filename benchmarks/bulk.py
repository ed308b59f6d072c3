"""Photographs an hour of bulk prediction: a Ray cluster of 1 and of 2 actors on this machine, each with one CPU and one
thread of the engine, and one process without Ray, in one run.

    python benchmarks/bulk.py coco-annotator/datasets/demo --img_dir_name demo --model_name v_1
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ss_poc.bulk.photographs import Photographs
from ss_poc.bulk.predict import Job, Source
from ss_poc.bulk.ray_cluster import RayCluster
from ss_poc.bulk.store import Store
from ss_poc.core.config import PredictConfig
from ss_poc.core.images import find_images
from ss_poc.core.run import RunPaths
from ss_poc.inference.predictor import Predictor


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images")
    parser.add_argument("--img_dir_name", required=True)
    parser.add_argument("--model_name", default="v_1")
    parser.add_argument("--result", default="result")
    parser.add_argument("--photographs", type=int, default=600, help="images are taken again until there are so many")
    parser.add_argument("--actors", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    paths = RunPaths(Path(options.result), options.img_dir_name, options.model_name).require()
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        photos.mkdir()
        found = find_images(options.images)
        for number in range(options.photographs):
            source = found[number % len(found)]
            (photos / f"{number:06d}{source.suffix}").symlink_to(source.resolve())
        job = Job(Predictor.load(paths.export, paths.rules, threads=1), Photographs.find(str(photos)),
                  Store(str(Path(folder) / "out")), overlays=False)
        ways: dict[str, Callable[[], contextlib.AbstractContextManager[Source]]] = {
            "no Ray, one thread": lambda: contextlib.nullcontext(job.here)}
        for actors in options.actors:
            config = PredictConfig(images=str(photos), cluster="ray", actors=actors)
            ways[f"Ray, {actors} actor{'s' * (actors > 1)} of one thread"] = \
                lambda config=config: RayCluster(config, paths, job)
        table(ways, job)


def table(ways: dict[str, Callable[[], contextlib.AbstractContextManager[Source]]], job: Job) -> None:
    """Print what each way takes: from its start, and for each photograph once the first ones are done."""
    print(f"\n{len(job.photographs.names)} photographs, {job.predictor.engine}\n\n"
          "| | seconds in all | photographs an hour | times one actor |\n| --- | ---: | ---: | ---: |")
    rates = {name: measured(way, job) for name, way in ways.items()}
    one = next((rate for name, (_, rate) in rates.items() if "1 actor " in name), 0.0)
    for name, (seconds, rate) in rates.items():
        print(f"| {name} | {seconds:.1f} | {3600 * rate:,.0f} | {rate / one if one else 0:.2f} |")


def measured(way: Callable[[], contextlib.AbstractContextManager[Source]], job: Job) -> tuple[float, float]:
    """Seconds in all, and photographs a second after the first tenth: by then all actors have loaded the model."""
    started = time.perf_counter()
    with way() as source:
        times = [*stamps(source, job)]
    skipped = max(1, len(times) // 10)
    return time.perf_counter() - started, (len(times) - skipped) / (times[-1] - times[skipped - 1])


def stamps(source: Source, job: Job) -> Iterator[float]:
    """When each photograph was done."""
    for _ in source(job.photographs.names):
        yield time.perf_counter()


if __name__ == "__main__":
    main()
