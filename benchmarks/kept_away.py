"""What recipes make of photographs that were kept away: another place, another machine, another day.

    python benchmarks/kept_away.py --img_path ../shared/data/crack_forest --train train.json --judge judge.json
    python benchmarks/kept_away.py --img_path ../shared/data/ball_screw --away '^KGT' --recipes balanced unet
    python benchmarks/kept_away.py --img_path ../shared/data/ball_screw --away '_(585000|395000|462500)_'

Recipes are those of `quality.py`, trained and finished by the commands that a user types, one after the other, and
judged with the rules that the run found (`judging.py` says what the columns are). Runs in the folder of `--keep` are
not repeated.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path
from typing import Any

from commands import copied, parted, trained
from judging import head, row
from quality import RECIPES, named

from ss_poc.core.files import read_json
from ss_poc.core.run import RunPaths, find_json


def main() -> None:
    options = parse()
    print(head("recipe, seed"))
    with tempfile.TemporaryDirectory() as scratch:
        root = options.keep or Path(scratch)
        known, unknown = (copied(options.img_path, images, document, root / name)
                          for name, (images, document) in zip(("known", "unknown"), sides(options), strict=True))
        for recipe in options.recipes:
            name, flags = named(recipe)
            for seed in options.seeds:
                paths = RunPaths(root / "result", "known", f"{name}_{seed}")
                if not paths.rules.is_file():
                    trained(paths, known, options.budget, seed, *flags)
                print(f"| {name}, {seed} | {row(paths, unknown)} |", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--img_path", type=Path, required=True)
    parser.add_argument("--away", help="regular expression of the names that are kept away")
    parser.add_argument("--train", help="instead: COCO json, in img_path, of the photographs that train")
    parser.add_argument("--judge", help="and the one of those that are kept away")
    parser.add_argument("--budget", default="10m")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--recipes", nargs="+", default=["balanced"], metavar="NAME",
                        help=f"{', '.join(RECIPES)}, or a name with flags of train after '=': 'large=--scale 2'")
    parser.add_argument("--keep", type=Path, help="folder to keep the runs in, and to find those of before")
    options = parser.parse_args()
    if [bool(given) for given in (options.away, options.train, options.judge)] not in (
            [True, False, False], [False, True, True]):
        parser.error("either --away, or --train and --judge")
    return options


def sides(options: argparse.Namespace) -> list[tuple[list[dict[str, Any]], dict[str, Any]]]:
    """The images that train with their document, and those that are kept away with theirs."""
    if not options.away:
        documents = [read_json(options.img_path / name) for name in (options.train, options.judge)]
        return [(document["images"], document) for document in documents]
    document = read_json(find_json(options.img_path))
    return [(images, document) for images in
            parted(document, lambda name: bool(re.search(options.away, Path(name).name)))]


if __name__ == "__main__":
    main()
