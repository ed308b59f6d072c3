"""Draw surfaces that no factory has, with defects that no class is named after: what the weights in the package learned
from (`pretrain`). No photograph, no licence, no download.

A surface is noise, grain, patterns and machined shapes under uneven light; a defect is a line, a spot, a stain, a break
or a patch of other texture, told from it by comparison alone, for shapes and digits that belong there are drawn too.
Fields are (SIDE, SIDE) float32 grey values, of mean 0 and deviation 1 where a function says noise; lengths are pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from ..core.files import atomic_path, write_json
from ..core.host import cores
from ..core.masks import encode_rle

__all__ = ["CLASSES", "SIDE", "draw_surface", "draw_surfaces"]

SIDE = 288
JSON_NAME = "coco-1.json"
CLEAN = 0.2  # fraction of the pictures without a defect
Random = np.random.Generator


def even(field: np.ndarray) -> np.ndarray:
    return ((field - field.mean()) / (field.std() + 1e-9)).astype(np.float32)


def grid() -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    return rows, columns


def spectral(random: Random, power: float | None = None, stretch: float | None = None) -> np.ndarray:
    """Noise of power 1 / frequency^power, drawn out along some direction."""
    power = random.uniform(0.3, 2.2) if power is None else power
    stretch = float(random.choice([1, 1, 1, 3, 8, 25])) if stretch is None else stretch
    down, across = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE), indexing="ij")
    angle = random.uniform(0, np.pi)
    along, off = across * np.cos(angle) + down * np.sin(angle), down * np.cos(angle) - across * np.sin(angle)
    frequency = np.hypot(along * stretch, off) + 1 / SIDE
    return even(np.fft.ifft2(np.fft.fft2(random.standard_normal((SIDE, SIDE))) * frequency**-power).real)


def smooth(random: Random, length: float) -> np.ndarray:
    """Noise without features shorter than `length`."""
    small = cv2.GaussianBlur(random.standard_normal((SIDE // 4, SIDE // 4), np.float32), (0, 0), length / 4)
    return even(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))


def _pattern(random: Random) -> np.ndarray:
    """Stripes, waves, a net or holes, at even distances."""
    rows, columns = grid()
    angle, pitch = random.uniform(0, np.pi), random.uniform(4, 40)
    across = (columns * np.cos(angle) + rows * np.sin(angle)) / pitch
    down = (rows * np.cos(angle) - columns * np.sin(angle)) / (pitch * random.uniform(0.5, 2))
    kinds: list[Callable[[], np.ndarray]] = [
        lambda: np.sin(2 * np.pi * across), lambda: np.sin(2 * np.pi * across) * np.sin(2 * np.pi * down),
        lambda: (across % 1 < 0.12) | (down % 1 < 0.12), lambda: np.hypot(across % 1 - 0.5, down % 1 - 0.5) < 0.25]
    drawn = kinds[random.integers(4)]().astype(np.float32)
    return even(cv2.GaussianBlur(drawn, (0, 0), random.uniform(0.5, 1.5)))


def _grain(random: Random) -> np.ndarray:
    """Cells of one grey each."""
    count = int(random.integers(8, 120))
    centres = random.uniform(0, SIDE, (count, 2))
    rows, columns = np.mgrid[:SIDE:2, :SIDE:2]
    nearest = ((rows[..., None] - centres[:, 0])**2 + (columns[..., None] - centres[:, 1])**2).argmin(axis=-1)
    cells = random.standard_normal(count, np.float32)[nearest]
    return cv2.resize(cv2.GaussianBlur(cells, (0, 0), random.uniform(0.3, 1.5)), (SIDE, SIDE))


def texture(random: Random) -> np.ndarray:
    """One to three layers, around 0."""
    total = np.zeros((SIDE, SIDE), np.float32)
    for _ in range(random.integers(1, 4)):
        kind = random.integers(8)
        layer = (spectral(random) if kind < 5 else _pattern(random) if kind == 5 else _grain(random) if kind == 6
                 else smooth(random, random.uniform(10, 60)))
        total += layer * random.choice([2, 4, 7, 12, 20]) * random.uniform(0.5, 1.3)
    return total


def _machined(random: Random) -> np.ndarray:
    """Coverage, 0 or 1, of a shape that belongs there: a part's side, a disc, a plate or a groove."""
    drawn, kind = np.zeros((SIDE, SIDE), np.float32), random.integers(4)
    somewhere = [[int(value) for value in random.integers(0, SIDE, 2)] for _ in range(2)]
    if kind == 0:
        rows, columns = grid()
        angle = random.uniform(0, 2 * np.pi)
        side = (columns - SIDE / 2) * np.cos(angle) + (rows - SIDE / 2) * np.sin(angle)
        return (side > random.uniform(-0.4, 0.4) * SIDE).astype(np.float32)
    if kind == 1:
        return cv2.circle(drawn, somewhere[0], int(random.integers(8, 120)), 1.0, cv2.FILLED)
    if kind == 2:
        box = cv2.boxPoints((somewhere[0], random.uniform((20, 10), (260, 200)).tolist(), random.uniform(0, 90)))
        return cv2.fillPoly(drawn, [box.astype(np.int32)], 1.0)
    return cv2.line(drawn, somewhere[0], somewhere[1], 1.0, int(random.integers(1, 12)))


def _digits(random: Random) -> np.ndarray:
    """Coverage 0..1 of a stamped number."""
    drawn = np.zeros((SIDE, SIDE), np.uint8)
    text = "".join(str(digit) for digit in random.integers(0, 9, random.integers(2, 8)))
    cv2.putText(drawn, text, random.integers(0, SIDE - 60, 2).tolist(), int(random.integers(4)), random.uniform(0.5, 2),
                255, int(random.integers(1, 4)))
    return drawn.astype(np.float32) / 255


def sound_surface(random: Random) -> tuple[np.ndarray, list[np.ndarray]]:
    """A sound surface, under its light, grey values around 0..255; coverage 0..1 of each shape that belongs there, in
    the order in which they lie on each other."""
    grey, belonging = texture(random) + random.uniform(60, 190), []
    for _ in range(random.choice([0, 0, 1, 1, 2, 3])):
        covered = cv2.GaussianBlur(_machined(random), (0, 0), random.uniform(0.4, 2))
        other = texture(random) + random.uniform(20, 235) if random.random() < 0.5 else grey + random.uniform(-60, 60)
        grey = grey * (1 - covered) + other * covered
        belonging.append(covered)
        if random.random() < 0.3:  # its edge shines, or throws a shadow
            edge = cv2.morphologyEx(np.round(covered), cv2.MORPH_GRADIENT, np.ones((3, 3)))
            grey += cv2.GaussianBlur(edge, (0, 0), 1) * random.uniform(-70, 70)
    if random.random() < 0.12:
        belonging.append(_digits(random))
        grey += belonging[-1] * random.uniform(-90, 90)
    rows, columns = (2 * axis / (SIDE - 1) - 1 for axis in grid())
    grey += (columns * random.normal() + rows * random.normal()) * random.uniform(0, 25)
    if random.random() < 0.4:
        grey -= np.hypot(rows - random.uniform(-1, 1), columns - random.uniform(-1, 1))**2 * random.uniform(-15, 30)
    return grey.astype(np.float32), belonging


def blob(random: Random, size: float, ragged: float) -> np.ndarray:
    """(SIDE, SIDE) bool: a closed region about `size` pixels across."""
    turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    radius = np.ones(48)
    for order in range(2, 9):
        radius += ragged * random.normal() / order * np.cos(order * turn + random.uniform(0, 2 * np.pi))
    radius = np.clip(radius, 0.25, 3) * size / 2
    longer, angle = random.uniform(1, 2.5)**random.choice([-0.5, 0.5]), random.uniform(0, np.pi)
    along, across = radius * np.cos(turn) * longer, radius * np.sin(turn) / longer
    outline = np.stack([along * np.cos(angle) - across * np.sin(angle), along * np.sin(angle) + across * np.cos(angle)],
                       axis=1) + random.uniform(0.02, 0.98, 2) * SIDE
    drawn = np.zeros((SIDE, SIDE), np.uint8)
    return cv2.fillPoly(drawn, [np.round(outline * 16).astype(np.int32)], 1, shift=4).astype(bool)


def _walk(random: Random, drawn: np.ndarray, start: np.ndarray, angle: float, steps: int, bend: float,
          thickness: int) -> None:
    """Draw a line that wanders into uint8 `drawn`, with twigs."""
    length, place = random.uniform(4, 16), start
    for number in range(steps):
        following = place + length * np.array([np.cos(angle), np.sin(angle)])
        thin = max(1, thickness - (number > 0.7 * steps))
        cv2.line(drawn, place.astype(int).tolist(), following.astype(int).tolist(), 1, thin)
        if thickness > 0 and random.random() < 0.04:
            _walk(random, drawn, place, angle + random.choice([-0.8, 0.8]), int(random.integers(2, 8)), bend, 0)
        place, angle = following, angle + random.normal() * bend


def _contrast(random: Random, grey: np.ndarray) -> float:
    """A step in grey that can be seen on this surface."""
    size = random.uniform(0.8, 3.0) * max(6.0, float(grey.std())) if random.random() < 0.6 else random.uniform(15, 90)
    return float(size * random.choice([-1, 1]))


def put(grey: np.ndarray, where: np.ndarray, new: np.ndarray, soft: float) -> np.ndarray:
    """`new` where bool `where`, with an edge of about `soft` pixels."""
    covered = cv2.GaussianBlur(where.astype(np.float32), (0, 0), soft)
    return grey * (1 - covered) + new * covered


Drawn = tuple[np.ndarray, np.ndarray]


def _line(random: Random, grey: np.ndarray) -> Drawn:
    shape = np.zeros((SIDE, SIDE), np.uint8)
    _walk(random, shape, random.uniform(0, SIDE, 2), random.uniform(0, 2 * np.pi), int(random.integers(3, 28)),
          float(random.choice([0.03, 0.2, 0.5])), int(random.choice([1, 1, 2, 2, 3, 4, 6])))
    new = put(grey, shape > 0, grey + _contrast(random, grey) * random.uniform(0.5, 1), random.uniform(0.3, 0.8))
    if random.random() < 0.3:  # a burr that shines
        beside = np.pad(shape, ((1, 0), (1, 0)))[:-1, :-1].astype(np.float32)
        new += cv2.GaussianBlur(beside, (0, 0), 0.7) * random.uniform(-30, 40)
    return shape > 0, new


def _spot(random: Random, grey: np.ndarray) -> Drawn:
    where = np.zeros((SIDE, SIDE), bool)
    for _ in range(random.choice([1, 1, 1, 2, 3, 6])):
        where |= blob(random, random.uniform(4, 26), 0.3)
    new = grey + _contrast(random, grey) if random.random() < 0.5 else random.uniform(0, 255) + 0.3 * texture(random)
    if random.random() < 0.4:  # a pit is shaded
        new = new + cv2.GaussianBlur(where.astype(np.float32), (0, 0), 3) * random.uniform(-60, 60)
    return where, put(grey, where, new, random.uniform(0.3, 1.2))


def _stain(random: Random, grey: np.ndarray) -> Drawn:
    where = blob(random, random.uniform(40, 240), 0.35)
    if random.random() < 0.5:
        where &= smooth(random, random.uniform(10, 40)) > random.uniform(-0.5, 0.3)
    step = random.choice([-1, 1]) * random.uniform(0.5, 2) * max(5.0, float(grey.std()))
    gain = 1.0 if random.random() < 0.6 else random.uniform(0.2, 1.8)
    return where, put(grey, where, (grey - grey.mean()) * gain + grey.mean() + step, random.uniform(1, 6))


def _break(random: Random, grey: np.ndarray) -> Drawn:
    where = blob(random, random.uniform(15, 130), 0.6)
    new = texture(random) * random.uniform(0.5, 2) + random.uniform(10, 245)
    if random.random() < 0.5:
        new = new + spectral(random, power=1.0, stretch=1.0) * random.uniform(5, 40)
    return where, put(grey, where, new, random.uniform(0.3, 1.5))


def _patch(random: Random, grey: np.ndarray) -> Drawn:
    where, kind = blob(random, random.uniform(20, 150), 0.4), random.integers(4)
    if kind == 0:
        new = np.roll(grey, random.integers(20, SIDE - 20, 2).tolist(), (0, 1))
    elif kind == 1:
        new = np.rot90(grey, int(random.integers(1, 4)))
    elif kind == 2:
        new = cv2.GaussianBlur(grey, (0, 0), random.uniform(1.5, 6))
    else:
        rough = spectral(random, power=random.uniform(0, 1), stretch=float(random.choice([1, 4, 15])))
        new = grey + rough * random.uniform(0.5, 1.5) * max(5.0, float(grey.std()))
    if where.any() and np.abs(new - grey)[where].mean() < max(4.0, 0.5 * float(grey.std())):
        new = new + _contrast(random, grey)
    return where, put(grey, where, new, random.uniform(0.3, 2))


CLASSES: dict[str, tuple[str, Callable[[Random, np.ndarray], Drawn]]] = {
    "line": ("#e6194b", _line), "spot": ("#3cb44b", _spot), "stain": ("#4363d8", _stain),
    "break": ("#f58231", _break), "texture": ("#911eb4", _patch)}


def draw_surface(random: Random) -> tuple[np.ndarray, np.ndarray]:
    """Draw a surface, defects on four of five.

    Args:
        random: what it follows from.

    Returns:
        (SIDE, SIDE, 3) uint8 RGB; (SIDE, SIDE, 5) bool, a channel a class of CLASSES, which may overlap.
    """
    (grey, _), masks = sound_surface(random), np.zeros((SIDE, SIDE, len(CLASSES)), bool)
    kinds = list(CLASSES.values())
    for _ in range(random.choice([1, 1, 2, 3, 4]) if random.random() > CLEAN else 0):
        channel = int(random.integers(len(kinds)))
        where, grey = kinds[channel][1](random, grey)
        masks[..., channel] |= where
    return photographed(random, grey), masks


def photographed(random: Random, grey: np.ndarray) -> np.ndarray:
    """A camera's view of grey values: noise, blur and colour; (SIDE, SIDE, 3) uint8 RGB."""
    if random.random() < 0.5:
        grey = grey + random.standard_normal((SIDE, SIDE), np.float32) * random.uniform(0, 8)
    if random.random() < 0.3:
        grey = cv2.GaussianBlur(grey, (0, 0), random.uniform(0.4, 1.2))
    image = np.repeat(grey[..., None], 3, axis=-1)
    if random.random() < 0.5:
        tint, shift, spread = random.normal(0, (0.25, 15, 3), (3, 3)).T
        image = image * (1 + tint) + shift + spectral(random)[..., None] * spread
    return np.clip(image, 0, 255).astype(np.uint8)


def _write(folder: Path, seed: int, number: int) -> list[dict[str, Any]]:
    """Write picture `number`; the annotations of its classes, without ids."""
    image, masks = draw_surface(np.random.default_rng([seed, number]))
    _, jpeg = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    (folder / _name(number)).write_bytes(jpeg.tobytes())
    return [{"image_id": number, "category_id": channel + 1, "iscrowd": 1,
             "segmentation": encode_rle(masks[..., channel])} for channel in range(len(CLASSES))
            if masks[..., channel].any()]


def draw_surfaces(folder: Path, images: int, seed: int) -> Path:
    """Draw that many surfaces into a new folder, whole or not at all; returns the path of its COCO json."""
    annotations: list[dict[str, Any]] = []
    with atomic_path(folder) as temporary, ProcessPoolExecutor(cores()) as pool:
        (temporary / ".exports").mkdir(parents=True)
        drawn = pool.map(partial(_write, temporary, seed), range(images), chunksize=16)
        for found in tqdm(drawn, total=images, desc="drawing surfaces", unit="picture"):
            annotations += [{"id": len(annotations) + number, **item} for number, item in enumerate(found, 1)]
        entries = [{"id": number, "file_name": _name(number), "height": SIDE, "width": SIDE}
                   for number in range(images)]
        categories = [{"id": number, "name": name, "color": color}
                      for number, (name, (color, _)) in enumerate(CLASSES.items(), 1)]
        write_json(temporary / ".exports" / JSON_NAME,
                   {"images": entries, "annotations": annotations, "categories": categories})
    return folder / ".exports" / JSON_NAME


def _name(number: int) -> str:
    return f"surface_{number:05d}.jpg"
