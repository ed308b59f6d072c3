"""Run a trained model over photographs.

    python -m ss_poc.predict photos/ --img_dir_name demo --model_name v_1
    python -m ss_poc.predict 'photos/*.jpg' --img_dir_name demo --model_name v_1 --output out --threshold 0.3
    python -m ss_poc.predict photos/ --img_dir_name demo --model_name v_1 --output out --shard 3/16
    python -m ss_poc.predict collect out
    python -m ss_poc.predict photos/ --img_dir_name demo --model_name v_1 --rules rules.yaml
    python -m ss_poc.predict s3://bucket/photos --img_dir_name demo --output out --cluster ray --address auto
    python -m ss_poc.predict --rank unlabelled/ --img_dir_name demo --model_name v_1 --top 20
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ..core.config import PredictConfig
from ..core.errors import ConfigError
from ..core.host import ending_in_order
from ..core.run import Run, RunPaths
from ..core.settings import from_flags
from ..core.text_table import counted
from ..inference.predictor import Predictor
from ..inference.ranking import rank
from ..inference.reading import Unread
from ..measuring.named import check_labels
from ..measuring.settings import read_rules
from .collect import Joined, collect
from .photographs import Photographs
from .predict import Job, predict_shard, predict_whole
from .ray_cluster import RayCluster
from .shards import shard_of
from .store import Store, is_remote

__all__ = ["main"]

# So many times the pixels of the largest photograph that trained are another camera, or another distance.
LARGER = 1.5


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. The exit status is 0 if every image was read, else 1; a shard that is done is 0 in any case."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == ["collect"]:
        return _collect(words[1:])
    config = from_flags(PredictConfig, words, "Run a trained model over photographs.", positional=("images",),
                        examples=__doc__)
    paths = RunPaths(Path(config.result), config.data_set, config.model_name).require()
    if config.rank:
        if config.rules:
            raise ConfigError("rules and rank are set", "one of them",
                              "photographs to label are not judged: drop --rules")
        if is_remote(config.images):
            raise ConfigError(f"images is {config.images}", "with rank, a folder of this machine",
                              "copy them to a disk")
        output = Path(config.output) if config.output else paths.prediction / "rank"
        return _said(rank(paths, Predictor.load(paths.export, paths.rules), config, output))
    return _predict(config, paths)


def _predict(config: PredictConfig, paths: RunPaths) -> int:
    shard = shard_of(config.shard, config.shards, os.environ)
    store = Store(config.output or str(paths.prediction))
    predictor = Predictor.load(paths.export, paths.rules, engine=config.engine)
    rules = read_rules(Path(config.rules)) if config.rules else None
    if rules:
        check_labels(rules, predictor.spec.labels, Path(str(config.rules)))
    job = Job(predictor, Photographs.find(config.images), store, config.threshold, not config.no_overlays, rules)
    if config.shard or config.shards:
        with ending_in_order():
            print(predict_shard(job, shard), flush=True)
        return 0
    if config.cluster:
        with RayCluster(config, paths, job) as cluster:
            joined = predict_whole(job, cluster)
    else:
        joined = predict_whole(job)
    if predictor.spec.scale:  # else photographs are squeezed to one size
        _note_larger(joined, Run.read(paths).survey.get("largest_hw"))
    return _joined(joined, store)


def _note_larger(joined: Joined, trained_hw: Sequence[int] | None) -> None:
    """Say on stderr how many photographs have far more pixels than the largest (height, width) that trained."""
    if not trained_hw:  # a run of an early version
        return
    larger = {size: count for size, count in joined.sizes.items() if math.prod(size) > LARGER * math.prod(trained_hw)}
    if larger:
        height, width = max(larger, key=math.prod)
        print(f"note: {sum(larger.values())} of {counted(joined.images, 'photograph')} have more than {LARGER} "
              f"times the pixels of any that trained: up to {width}x{height}, in training {trained_hw[1]}x"
              f"{trained_hw[0]}. If they show the same piece with more pixels, the model sees it enlarged and may find "
              "less: shrink them to that size, or label some of them and train again", file=sys.stderr, flush=True)


def _collect(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m ss_poc.predict collect", allow_abbrev=False,
                                     description="Join the parts of all shards into coco.json, rle.csv and "
                                                 "predictions.parquet.")
    parser.add_argument("output", help="the --output of the shards")
    store = Store(parser.parse_args(argv).output)
    return _joined(collect(store), store)


def _joined(joined: Joined, store: Store) -> int:
    judged = "".join(f", {joined.judged[verdict]} {verdict}" for verdict in ("accept", "warn", "reject", "error")
                     if joined.judged[verdict])
    print(f"{counted(joined.images, 'image')}, {joined.defects} with a defect{judged}, {len(joined.unread)} not read "
          f"→ {store}", flush=True)
    return _said(joined.unread)


def _said(broken: Sequence[Unread]) -> int:
    for item in broken:
        print(f"not read: {item.name}: {item.reason}", file=sys.stderr)
    return 1 if broken else 0
