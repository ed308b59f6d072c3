"""Draw a labelled demo data set: photographs of steel with scratches, pits, stains and cracks.

    python -m ss_poc.demo
    python -m ss_poc.demo --out photos --images 40 --seed 1

Each picture is a height map and a reflectance; defects carve the one and tint the other, then a lamp and a camera make
a photograph of both. Milling arcs, fingerprints and fine grinding marks do no harm: they are drawn, but not labelled.
Fields are (H, W) float32, noise has mean 0 and deviation 1, angles are radians, and lengths are pixels.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from ..core.config import check_bounds, from_flags, setting
from ..core.errors import ArtifactError
from ..core.files import atomic_path, read_json
from ..core.masks import mask_to_polygons, polygons_to_mask

__all__ = ["CLASSES", "SIZE_HW", "draw_photograph", "main", "make_demo"]

SIZE_HW = (240, 320)
JSON_NAME = "coco-1700000000.0.json"
DESCRIPTION = "ss_poc.demo"
FINE = 3  # outlines are drawn this much larger, so that their edges come out smooth
LEAST_SPECK = 24  # pixels; smaller pieces of a defect are neither drawn nor labelled


@dataclass(frozen=True)
class DemoConfig:
    """Settings of `python -m ss_poc.demo`."""

    out: str = setting("coco-annotator/datasets/demo", "folder to make")
    images: int = setting(160, "number of pictures", least=1, most=9999)
    seed: int = setting(0, "what all pictures follow from", least=0)


@dataclass
class Surface:
    """The part before the camera: (H, W) float32 height and (H, W, 3) float32 reflectance (RGB, 0..1)."""

    height: np.ndarray
    albedo: np.ndarray

    def tint(self, factor: np.ndarray | float, where: np.ndarray, rgb: Sequence[float] = (1, 1, 1)) -> None:
        """Multiply the reflectance by `factor * rgb` to the degree (H, W) `where`, 0..1."""
        goal = np.asarray(factor, np.float32)[..., None] * np.asarray(rgb, np.float32)
        self.albedo *= 1 + where[..., None] * (goal - 1)


def _fractal(random: np.random.Generator, cell: float, octaves: int = 4) -> np.ndarray:
    """Noise with features from `cell` pixels downwards."""
    total = np.zeros(SIZE_HW, np.float32)
    for octave in range(octaves):
        step = max(cell / 2**octave, 1.0)
        grid = random.standard_normal((int(SIZE_HW[0] / step) + 3, int(SIZE_HW[1] / step) + 3), np.float32)
        total += cv2.resize(grid, SIZE_HW[::-1], interpolation=cv2.INTER_CUBIC) * 0.55**octave
    return (total - total.mean()) / total.std()


def _streaks(random: np.random.Generator, length: int, angle: float, thickness: float) -> np.ndarray:
    """Noise drawn out to lines of `length` along `angle`."""
    noise = cv2.GaussianBlur(random.standard_normal(SIZE_HW, np.float32), (0, 0), thickness)
    kernel, reach = np.zeros((length | 1, length | 1), np.uint8), length / 2 * np.array([np.cos(angle), np.sin(angle)])
    ends = [np.rint((length // 2 + end) * 16).astype(int).tolist() for end in (-reach, reach)]
    cv2.line(kernel, ends[0], ends[1], 255, 1, cv2.LINE_AA, 4)
    drawn = cv2.filter2D(noise, -1, kernel / np.float32(kernel.sum()), borderType=cv2.BORDER_REFLECT)
    return (drawn - drawn.mean()) / drawn.std()


def _step(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    part = np.clip((value - low) / (high - low), 0, 1)
    return part * part * (3 - 2 * part)


def _distance(centre_xy: np.ndarray, angle: float, stretch: float) -> np.ndarray:
    """Pixels from a centre, counted on ellipses turned by `angle` and longer by `stretch`."""
    rows, columns = np.mgrid[:SIZE_HW[0], :SIZE_HW[1]].astype(np.float32)
    across, down = columns - centre_xy[0], rows - centre_xy[1]
    along = across * np.cos(angle) + down * np.sin(angle)
    return np.hypot(along / stretch, down * np.cos(angle) - across * np.sin(angle)).astype(np.float32)


def _wander(random: np.random.Generator, count: int, knots: int) -> np.ndarray:
    """`count` values that drift around 0, with `knots` changes of direction."""
    return np.interp(np.linspace(0, knots - 1, count), np.arange(knots), random.standard_normal(knots))


def _line(points_xy: np.ndarray, widths: np.ndarray, shape: np.ndarray | None = None) -> np.ndarray:
    """A line through (N, 2) points, `widths` wide at each, as a fine uint8 shape: a new one, or added to `shape`."""
    shape = np.zeros((SIZE_HW[0] * FINE, SIZE_HW[1] * FINE), np.uint8) if shape is None else shape
    corners = np.rint((points_xy + 0.5) * FINE).astype(int).tolist()
    for start, end, width in zip(corners[:-1], corners[1:], widths[:-1], strict=True):
        cv2.line(shape, start, end, 1, max(1, round(float(width) * FINE)))
    return shape


def _where_positive(field: np.ndarray) -> np.ndarray:
    """Where a field is positive, as a fine uint8 shape."""
    return (cv2.resize(field, None, fx=FINE, fy=FINE, interpolation=cv2.INTER_CUBIC) > 0).astype(np.uint8)


def _shrink(fine: np.ndarray) -> np.ndarray:
    return cv2.resize(fine.astype(np.float32), SIZE_HW[::-1], interpolation=cv2.INTER_AREA)


def _solid(shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A fine shape, without its specks and holes, as coverage 0..1 and depth from its edge."""
    contours, _ = cv2.findContours(shape, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    kept = [contour for contour in contours if cv2.contourArea(contour) >= LEAST_SPECK * FINE**2]
    solid = cv2.drawContours(np.zeros_like(shape), kept, -1, 1, cv2.FILLED)
    return _shrink(solid), _shrink(cv2.distanceTransform(solid, cv2.DIST_L2, 5) / FINE)


def _metal(random: np.random.Generator) -> Surface:
    """Brushed, rolled or cast steel."""
    kind, angle = random.integers(3), random.normal(0, 0.1) + random.choice([0, np.pi / 2], p=[0.8, 0.2])
    if kind == 0:
        relief = _streaks(random, 101, angle, 0.5) + 0.6 * _streaks(random, 35, angle, 0.4)
        pattern, relief = 0.09 * _streaks(random, 75, angle, 0.6) + 0.05 * relief, 0.14 * relief
    elif kind == 1:
        relief = 0.6 * _streaks(random, 15, angle, 0.5) + _fractal(random, 2, 1)
        pattern = 0.05 * _streaks(random, 99, angle, 4) + 0.05 * _fractal(random, 60) + 0.05 * relief
        relief = 0.15 * relief
    else:
        relief = 0.22 * _fractal(random, 7, 3) + 0.2 * _fractal(random, 2, 1)
        pattern = 0.07 * _fractal(random, 2, 1) + 0.06 * _fractal(random, 70, 3)
    albedo = random.uniform(0.46, 0.6) * (1 + pattern)
    return Surface(relief.astype(np.float32), np.repeat(albedo[..., None], 3, axis=2).astype(np.float32))


def _somewhere(random: np.random.Generator, margin: float) -> np.ndarray:
    return random.uniform(margin, 1 - margin, 2) * SIZE_HW[::-1]


def _milling(random: np.random.Generator, surface: Surface) -> None:
    """Arcs that a milling cutter leaves, fading in and out."""
    bearing = random.uniform(0, 2 * np.pi)
    centre = np.array([160, 120]) + random.uniform(250, 700) * np.array([np.cos(bearing), np.sin(bearing)])
    radius = _distance(centre, 0, 1) + 0.6 * _fractal(random, 60, 2)
    ridges = np.sin(radius * (2 * np.pi / random.uniform(5, 11))) * _step(_fractal(random, 80, 2), -1.5, 1)
    surface.height += 0.16 * ridges
    surface.albedo *= (1 + 0.02 * ridges)[..., None]


def _fingerprint(random: np.random.Generator, surface: Surface) -> None:
    angle, centre = random.uniform(0, np.pi), _somewhere(random, 0.15)
    whorl = _distance(centre + random.uniform(-8, 8, 2), angle, 1.3) + 2.2 * _fractal(random, 28, 2)
    ridges = np.sin(whorl * (2 * np.pi / random.uniform(4.2, 5.2)))
    pressed = _step(1 - _distance(centre, angle, 1.35) / 32 + 0.15 * _fractal(random, 16, 3), 0, 0.5)
    surface.albedo *= (1 - pressed * (0.04 + 0.07 * ridges))[..., None]


def _grinding(random: np.random.Generator, surface: Surface) -> None:
    angle, centre = random.uniform(0, np.pi), _somewhere(random, 0.15)
    for _ in range(int(random.integers(6, 14))):
        turn, start = angle + random.normal(0, 0.06), centre + random.normal(0, 28, 2)
        end = start + random.uniform(25, 90) * np.array([np.cos(turn), np.sin(turn)])
        mark = _shrink(_line(np.array([start, end]), np.array([0.4, 0.4])))
        surface.height -= random.uniform(0.7, 2) * mark


def _stain(random: np.random.Generator, centre_xy: np.ndarray, surface: Surface) -> np.ndarray:
    """A dried liquid: translucent, with a fractal border and the dark rims that drying leaves."""
    radius = random.uniform(26, 46)
    distance = _distance(centre_xy, random.uniform(0, np.pi), random.uniform(1, 1.5))
    field = 1 - distance / radius + 0.22 * _fractal(random, radius * 0.8, 5)
    coverage, depth = _solid(_where_positive(field))
    rgb = [(0.68, 0.42, 0.22), (0.5, 0.38, 0.3), (0.58, 0.48, 0.28)][random.integers(3)]
    body = 0.55 + 0.13 * _fractal(random, 24, 6)
    older = np.abs(field - random.uniform(0.25, 0.6)) / 0.08
    rim = 0.5 * np.exp(-depth / random.uniform(1.2, 2.6)) * _step(_fractal(random, 25, 2), -2, 1.5)
    strength = np.clip(body + rim + 0.15 * np.exp(-older**2), 0.35, 1.05)
    surface.tint(1.0, cv2.GaussianBlur(coverage, (0, 0), 0.6) * strength, rgb)
    surface.height *= 1 - 0.4 * coverage
    return coverage


def _pit(random: np.random.Generator, centre_xy: np.ndarray, surface: Surface) -> np.ndarray:
    """One to three eaten-out bowls: steep wall, rough and dark bottom, raised lip."""
    field = np.full(SIZE_HW, -1, np.float32)
    radius, centre = random.uniform(11, 20), centre_xy
    for _ in range(int(random.choice([1, 2, 3], p=[0.55, 0.3, 0.15]))):
        distance = _distance(centre, random.uniform(0, np.pi), random.uniform(1, 1.3))
        field = np.maximum(field, 1 - distance / radius)
        bearing = random.uniform(0, 2 * np.pi)
        centre = centre + radius * random.uniform(1.5, 2.6) * np.array([np.cos(bearing), np.sin(bearing)])
        radius = max(8.0, radius * random.uniform(0.5, 0.8))
    coverage, depth = _solid(_where_positive(field + 0.09 * _fractal(random, 14, 4)))
    depth, rough = cv2.GaussianBlur(depth, (0, 0), 1.2), _fractal(random, 6, 4)
    bowl = 1 - np.exp(-depth / random.uniform(3, 5))
    lip = 1.6 * _step(depth, 0, 0.8) * (1 - _step(depth, 0.8, 2.2))
    surface.height *= 1 - coverage
    surface.height += coverage * (lip + 0.4 * rough * _step(depth, 1, 4) - random.uniform(7, 9) * bowl)
    surface.tint(1 - 0.25 * _step(depth, 0.5, 3) - 0.35 * _step(depth, 1, 8) + 0.05 * rough, coverage, (1, 0.94, 0.88))
    return coverage


def _scratch(random: np.random.Generator, centre_xy: np.ndarray, surface: Surface) -> np.ndarray:
    """A dragged tool: a band of bare, bright metal with burrs at its edges, torn by a few deeper grooves."""
    count, length, angle = 70, random.uniform(110, 230), random.uniform(0, np.pi)
    along = np.linspace(-0.5, 0.5, count)
    ahead, aside = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    sideways = random.normal(0, 0.05) * length * (4 * along**2 - 0.5) + 0.4 * _wander(random, count, 12)
    points = centre_xy + length * along[:, None] * ahead + sideways[:, None] * aside
    taper = np.clip((0.5 - np.abs(along)) * length / 20, 0.55, 1)
    widths = random.uniform(6.8, 8.5) * taper * np.clip(1 + 0.12 * _wander(random, count, 16), 0.75, 1.25)
    skips = random.uniform(0.2, 0.8, int(random.choice([0, 1, 2], p=[0.6, 0.25, 0.15]))) * count
    shape = _line(points[:0], widths[:0])
    for piece in np.split(np.arange(count), np.sort(skips).astype(int)):
        _line(points[piece[4:]], widths[piece[4:]], shape)
    coverage, depth = _solid(shape)
    force = np.clip(0.85 + 0.15 * _fractal(random, 40, 4), 0.6, 1.1)
    surface.height += coverage * force * (0.5 - 1.1 * _step(depth, 0.6, 2.6))
    surface.albedo += 0.6 * coverage[..., None] * (np.median(surface.albedo) - surface.albedo)  # no stain stays on it
    surface.tint(1 + 0.6 * force, coverage * _step(depth, -0.5, 0.9))
    for _ in range(int(random.integers(1, 4))):
        first, last = np.sort(random.integers(0, count, 2)) + (-12, 12)
        part = slice(max(first, 0), last)
        offset = random.uniform(-0.33, 0.33) * widths[part, None] * aside
        groove = coverage * _shrink(_line(points[part] + offset, widths[part] * random.uniform(0.08, 0.22)))
        surface.height -= 1.2 * groove
        surface.tint(random.uniform(0.25, 0.5), groove * force.clip(0, 1))
    return coverage


def _crack(random: np.random.Generator, centre_xy: np.ndarray, surface: Surface) -> np.ndarray:
    """A jagged, branching gap of irregular width: black where deep, crumbled at the edges, fading out at its tips."""
    angle, length = random.uniform(0, 2 * np.pi), random.uniform(100, 190)
    start = centre_xy - 0.5 * length * np.array([np.cos(angle), np.sin(angle)])
    trunk, widths = _jagged(random, start, angle, length, random.uniform(7, 8.5))
    shape, side = _line(trunk, widths), random.choice([-1, 1])
    for branch in range(int(random.integers(1, 4))):
        fork, turn = trunk[int(random.uniform(0.2, 0.8) * len(trunk))], side * (-1)**branch * random.uniform(0.5, 1.0)
        _line(*_jagged(random, fork, angle + turn, length * random.uniform(0.2, 0.4), random.uniform(5, 6.5)), shape)
    coverage, depth = _solid(shape)
    gap = _step(depth, 0.7, 2.2)
    surface.height += coverage * (0.5 * _fractal(random, 2, 1) * (1 - gap) - 1.2 * gap)
    surface.tint(0.5 + 0.1 * _fractal(random, 4, 2), coverage * _step(depth, -0.4, 0.6))
    surface.tint(0.28 + 0.08 * _fractal(random, 12, 3), coverage * gap)
    return coverage


def _jagged(random: np.random.Generator, start_xy: np.ndarray, angle: float, length: float,
            width: float) -> tuple[np.ndarray, np.ndarray]:
    """The (N, 2) points and (N,) widths of a jagged line."""
    count = max(8, int(length / 2.5))
    headings = angle + 0.35 * _wander(random, count, max(3, count // 6)) + random.normal(0, 0.5, count)
    steps = length / count * np.stack([np.cos(headings), np.sin(headings)], axis=1)
    points = start_xy + np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    swell = 1 + 0.25 * _wander(random, count + 1, count // 3) + 0.1 * random.standard_normal(count + 1)
    taper = np.interp(np.linspace(0, 1, count + 1), [0, 0.3, 1], [0.5, 1, 0.5])
    return points, np.maximum(width * taper * swell.clip(0.6, 1.5), 3)


Painter = Callable[[np.random.Generator, np.ndarray, Surface], np.ndarray]
# In the order in which they are drawn: what is cut into the metal comes after what lies on it.
CLASSES: dict[str, tuple[str, Painter]] = {
    "stain": ("#e8a317", _stain), "pit": ("#e0433a", _pit), "scratch": ("#2aa7e0", _scratch),
    "crack": ("#a347d6", _crack)}
HARMLESS = ((_milling, 0.25), (_fingerprint, 0.25), (_grinding, 0.3))


def _expose(random: np.random.Generator, surface: Surface) -> np.ndarray:
    """Light a surface from one side and photograph it: (H, W, 3) uint8 RGB."""
    bearing = random.uniform(0, 2 * np.pi)
    slope_x, slope_y = (cv2.Sobel(surface.height, -1, 1 - axis, axis, scale=0.125) for axis in (0, 1))
    facing = -(slope_x * np.cos(bearing) + slope_y * np.sin(bearing))
    shade = np.clip(1 + 0.45 * facing, 0.35, 1.7) / np.sqrt(1 + 0.15 * (slope_x**2 + slope_y**2))
    toward = np.array([160, 120]) + random.uniform(60, 220) * np.array([np.cos(bearing), np.sin(bearing)])
    lamp = np.exp(-(_distance(toward, random.uniform(0, np.pi), random.uniform(1, 2)) / random.uniform(150, 280))**2)
    light = (random.uniform(0.7, 0.85) + random.uniform(0.25, 0.55) * lamp) * (
        1 - random.uniform(0.05, 0.3) * (_distance(np.array([160, 120]), 0, 1.2) / 190)**2)
    warmth = random.uniform(-0.05, 0.07)
    picture = surface.albedo * (shade * light)[..., None] * np.array([1 + warmth, 1, 1 - warmth], np.float32)
    picture += 0.12 * (np.clip(shade - 1.15, 0, 1) * light)[..., None]
    picture = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), random.uniform(0.45, 0.8))
    grain = random.standard_normal((*SIZE_HW, 1), np.float32) + 0.5 * random.standard_normal((*SIZE_HW, 3), np.float32)
    picture += grain * random.uniform(0.008, 0.016) * np.sqrt(np.clip(picture, 0.05, 1))
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def draw_photograph(random: np.random.Generator, classes: Sequence[str]) -> tuple[np.ndarray, list[list[list[float]]]]:
    """Draw a defect of each of `classes`: (H, W, 3) uint8 RGB, and the COCO polygons of each, in that order."""
    surface = _metal(random)
    for painter, share in HARMLESS:
        if random.random() < share:
            painter(random, surface)
    regions: list[list[list[float]]] = []
    covered = np.zeros((0, 2), int)
    for name in classes:
        centre = _somewhere(random, 0.2)
        if len(covered) and random.random() < 0.35:
            centre = np.clip(random.choice(covered)[::-1], 30, np.array(SIZE_HW[::-1]) - 30)
        mask = CLASSES[name][1](random, centre, surface) > 0.5
        covered = np.concatenate([covered, np.argwhere(mask)])
        regions.append(mask_to_polygons(mask))
    return _expose(random, surface), regions


def _plan(images: int, seed: int) -> list[list[str]]:
    """Classes of each picture: a quarter has none, the others share the four out evenly and have 1 to 3."""
    random, names = np.random.default_rng(seed), list(CLASSES)
    plan: list[list[str]] = [[] for _ in range(images // 4)]
    for number in range(images - len(plan)):
        first = names[number % len(names)]
        others = random.permutation([name for name in names if name != first]).tolist()
        plan.append(sorted([first, *others[:random.choice(3, p=[0.5, 0.43, 0.07])]], key=names.index))
    return [plan[index] for index in random.permutation(images)]


def _annotation(number: int, image_id: int, name: str, polygons: list[list[float]]) -> dict[str, Any]:
    mask = polygons_to_mask(polygons, SIZE_HW)
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return {"id": number, "image_id": image_id, "category_id": list(CLASSES).index(name) + 1, "segmentation": polygons,
            "area": int(mask.sum()), "bbox": [left, top, width, height], "iscrowd": False, "isbbox": False,
            "color": CLASSES[name][0], "metadata": {}}


def _write(folder: Path, name: str, images: int, seed: int) -> None:
    """Draw all pictures into `folder`, and the json as coco-annotator would export it for a data set of that name."""
    (folder / ".exports").mkdir(parents=True)
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index, classes in enumerate(tqdm(_plan(images, seed), desc="drawing the demo", unit="picture")):
        picture, regions = draw_photograph(np.random.default_rng([seed, index]), classes)
        file_name = f"demo_{index + 1:04d}.jpg"
        _, jpeg = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        (folder / file_name).write_bytes(jpeg.tobytes())
        entries.append({"id": index + 1, "width": SIZE_HW[1], "height": SIZE_HW[0], "file_name": file_name,
                        "path": f"/datasets/{name}/{file_name}", "license": None, "coco_url": None,
                        "date_captured": None, "dataset_id": 1})
        for label, polygons in zip(classes, regions, strict=True):
            annotations.append(_annotation(len(annotations) + 1, index + 1, label, polygons))
    categories = [{"id": number, "name": label, "supercategory": "", "color": color, "metadata": {},
                   "keypoint_colors": []} for number, (label, (color, _)) in enumerate(CLASSES.items(), 1)]
    value = {"info": {"description": DESCRIPTION, "seed": seed}, "images": entries, "categories": categories,
             "annotations": annotations}
    (folder / ".exports" / JSON_NAME).write_text(json.dumps(value), encoding="utf-8")


def _is_demo(folder: Path) -> bool:
    """Whether the folder holds a whole demo set; False where it is missing or empty, an error for anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        value = read_json(folder / ".exports" / JSON_NAME)
        names, about = [entry["file_name"] for entry in value["images"]], value["info"]
        whole = about["description"] == DESCRIPTION and all((folder / name).is_file() for name in names)
    except (ArtifactError, OSError, KeyError, TypeError):
        whole = False
    if not whole:
        raise ArtifactError(f"{folder} is there already, and is no whole demo set", "a folder that is new or empty",
                            "give another one with --out, or move this one away; nothing in it was touched")
    print(f"using the demo set in {folder}: {len(names)} pictures, seed {about.get('seed')}; remove it to get another")
    return True


def make_demo(folder: Path, images: int = 160, seed: int = 0) -> Path:
    """Draw a labelled demo set into `folder`, whole or not at all; return the path of its json.

    One that is there already is used as it is, and said so. The same seed gives the same files, byte by byte.

    Raises:
        ArtifactError: the folder holds something else.
    """
    folder = folder.resolve()
    if not _is_demo(folder):
        for path in folder.parent.glob(".*.tmp.*"):  # what a killed process had begun to draw
            _, pid, _, name = path.name.split(".", 3)
            if name == folder.name and pid.isdigit() and not Path(f"/proc/{pid}").exists():
                shutil.rmtree(path)
        with atomic_path(folder) as temporary:
            _write(temporary, folder.name, images, seed)
        print(f"drew {images} pictures into {folder}")
    return folder / ".exports" / JSON_NAME


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    config = from_flags(DemoConfig, argv, "Draw a labelled demo data set.")
    check_bounds(config)
    make_demo(Path(config.out), config.images, config.seed)
