"""Draw surfaces with regions that somebody may click on: what the click network learns from (`pretrain_clicks`).

The surfaces and defects of `surfaces`, more of what is hard to outline (cracks of changing width, soft-edged stains of
little contrast, uneven light over half of the picture, frayed streaks, pits), and what belongs there (machined shapes,
digits). Every connected piece of each is a region of its own, whatever it is called.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from ..core.files import atomic_path
from ..core.host import cores
from .surfaces import CLASSES, SIDE, Drawn, Random, blob, photographed, put, smooth, sound_surface, spectral, texture

__all__ = ["LEAST_AREA", "MOST_FRACTION", "draw_regions", "draw_region_files", "pieces"]

# A region has at least so many pixels, and at most so much of the picture: more of it is what lies around.
LEAST_AREA, MOST_FRACTION = 20, 0.6
# Pieces of one defect that are kept, the largest first: a torn stain has hundreds.
MOST_PIECES = 4
# A shape that belongs there is a region where it differs this much from what lies around, in grey values.
SEEN = 6.0
FILE_PICTURES = 100


def _step(random: Random, grey: np.ndarray, least: float, most: float) -> float:
    """A step in grey, in deviations of the fine texture, which alone hides it; more often a darker one."""
    fine = float((grey - cv2.GaussianBlur(grey, (0, 0), 6)).std())
    return float(random.uniform(least, most) * max(5.0, fine) * random.choice([-1, -1, 1]))


def _crack(random: Random, grey: np.ndarray) -> Drawn:
    """A line that wanders and forks, its width and darkness changing along it."""
    drawn = np.zeros((SIDE, SIDE), np.uint8)
    width, bend = random.uniform(0.8, 3.5), float(random.choice([0.1, 0.25, 0.5]))
    ends = [(random.uniform(0, SIDE, 2), random.uniform(0, 2 * np.pi), int(random.integers(6, 60)), width)]
    for place, angle, steps, thick in ends:
        for number in range(steps):
            following = place + random.uniform(3, 9) * np.array([np.cos(angle), np.sin(angle)])
            now = max(0.6, thick * random.uniform(0.6, 1.4) * (1 - 0.6 * number / steps))
            _segment(drawn, place, following, now)
            if len(ends) < 6 and random.random() < 0.04:
                ends.append((following, angle + random.choice([-1, 1]) * random.uniform(0.4, 1.3), steps // 2,
                             max(0.6, thick * 0.8)))
            place, angle = following, angle + random.normal() * bend
    covered = drawn.astype(np.float32) / 255
    darkness = _step(random, grey, 1.0, 4.0) * (1 + 0.3 * smooth(random, random.uniform(8, 30)))
    where = covered > random.uniform(0.25, 0.5)
    return where, grey + darkness * cv2.GaussianBlur(covered, (0, 0), random.uniform(0.3, 1))


def _segment(drawn: np.ndarray, start: np.ndarray, end: np.ndarray, width: float) -> None:
    """A piece of a line as a quadrilateral with smooth edges, `width` pixels wide, into uint8 coverage 0..255."""
    along = (end - start) / (np.linalg.norm(end - start) + 1e-9)
    aside = np.array([-along[1], along[0]]) * width / 2
    corners = np.round(np.stack([start + aside, end + aside, end - aside, start - aside]) * 16).astype(np.int32)
    cv2.fillConvexPoly(drawn, corners, 255, cv2.LINE_AA, 4)


def _soft(random: Random, grey: np.ndarray) -> Drawn:
    """A stain without a sharp edge; its outline is where half of it is seen."""
    size = float(np.exp(random.uniform(np.log(8), np.log(150))))
    sharp = blob(random, size, 0.3).astype(np.float32)
    covered: np.ndarray = cv2.GaussianBlur(sharp, (0, 0), size * random.uniform(0.04, 0.2) + 0.5)
    covered = covered / max(1e-6, float(covered.max()))
    return covered > random.uniform(0.3, 0.5), grey + _step(random, grey, 0.7, 3) * covered


def _uneven(random: Random, grey: np.ndarray) -> Drawn:
    """A large area that is a little darker or lighter, rougher or smoother, with a broad edge."""
    field = smooth(random, random.uniform(25, 70)) if random.random() < 0.4 else \
        cv2.GaussianBlur(blob(random, random.uniform(80, 300), 0.4).astype(np.float32), (0, 0), 4) - 0.5
    width = random.uniform(0.05, 0.5)
    covered = np.clip(field / width + 0.5, 0, 1).astype(np.float32)
    around = cv2.GaussianBlur(grey, (0, 0), 4)
    gain = 1.0 if random.random() < 0.5 else random.uniform(0.3, 1.8)
    changed = around + (grey - around) * gain + _step(random, grey, 0.6, 3)
    return covered > 0.5, grey * (1 - covered) + changed * covered


def _fray(random: Random, grey: np.ndarray) -> Drawn:
    """Streaks side by side, labelled as one area."""
    where = blob(random, random.uniform(20, 160), 0.3)
    streaks = spectral(random, power=random.uniform(0.2, 0.8), stretch=float(random.choice([8, 15, 25])))
    new = grey + _step(random, grey, 0.3, 1.5) + streaks * abs(_step(random, grey, 0.8, 2.5))
    return where, put(grey, where, new.astype(np.float32), random.uniform(0.5, 3))


def _pit(random: Random, grey: np.ndarray) -> Drawn:
    """A small hole, dark inside, its rim shining now and then."""
    where = blob(random, float(np.exp(random.uniform(np.log(5), np.log(45)))), random.uniform(0.1, 0.4))
    new = grey + _step(random, grey, 1.5, 6)
    if random.random() < 0.5:
        new = new.mean(where=where) + 0.3 * (new - new.mean(where=where)) if where.any() else new
    if random.random() < 0.4:
        rim = cv2.dilate(where.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool) & ~where
        grey = grey + cv2.GaussianBlur(rim.astype(np.float32), (0, 0), 1) * _step(random, grey, 0.5, 2)
    return where, put(grey, where, new.astype(np.float32), random.uniform(0.4, 1.5))


def _shape(random: Random, grey: np.ndarray) -> Drawn:
    """Another texture inside of a sharp outline."""
    where = blob(random, random.uniform(15, 200), random.uniform(0, 0.8))
    return where, put(grey, where, texture(random) + random.uniform(20, 235), random.uniform(0.3, 1))


OTHERS: tuple[Callable[[Random, np.ndarray], Drawn], ...] = (_crack, _crack, _soft, _uneven, _fray, _pit, _pit, _shape)
DEFECTS = (*(draw for _, draw in CLASSES.values()), *OTHERS)


def draw_regions(random: Random) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw a surface with at least one region.

    Args:
        random: what it follows from.

    Returns:
        (SIDE, SIDE, 3) uint8 RGB; (SIDE, SIDE) bool masks of its regions, which may overlap.
    """
    while True:
        grey, belonging = sound_surface(random)
        drawn = []
        for _ in range(random.choice([1, 2, 2, 3, 4])):
            where, grey = DEFECTS[random.integers(len(DEFECTS))](random, grey)
            drawn.append(where)
        image = photographed(random, grey)
        regions = [piece for where in drawn for piece in pieces(where)]
        for number, covered in enumerate(belonging):
            free = covered > 0.5
            for above in belonging[number + 1:]:
                free &= above < 0.5
            regions += [piece for piece in pieces(free) if _stands_out(image, piece)]
        if regions:
            return image, regions


def pieces(mask: np.ndarray) -> list[np.ndarray]:
    """List the connected pieces of a bool mask that are regions, the largest first, at most MOST_PIECES."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    order = [number for number in np.argsort(-areas) if LEAST_AREA <= areas[number] <= MOST_FRACTION * mask.size]
    return [labels == number + 1 for number in order[:MOST_PIECES]]


def _stands_out(image: np.ndarray, region: np.ndarray) -> bool:
    """Whether a region differs from the band around it in brightness or roughness."""
    grey = image.mean(axis=-1)
    near = cv2.dilate(region.astype(np.uint8), np.ones((13, 13), np.uint8)).astype(bool) & ~region
    if not near.any():
        return False
    inside, outside = grey[region], grey[near]
    return bool(abs(inside.mean() - outside.mean()) > max(SEEN, 0.4 * outside.std()) or
                abs(np.log((inside.std() + 2) / (outside.std() + 2))) > 0.5)


def _write(folder: Path, seed: int, number: int) -> None:
    """Write pictures FILE_PICTURES at a time: images, bits of all regions, and the picture that each belongs to."""
    found = [draw_regions(np.random.default_rng([seed, number, inside])) for inside in range(FILE_PICTURES)]
    owners = np.repeat(np.arange(FILE_PICTURES, dtype=np.int32), [len(regions) for _, regions in found])
    bits = np.stack([np.packbits(region) for _, regions in found for region in regions])
    np.savez(folder / f"regions_{number:04d}.npz", images=np.stack([image for image, _ in found]), bits=bits,
             owners=owners)


def draw_region_files(folder: Path, images: int, seed: int) -> None:
    """Draw that many pictures (rounded up to hundreds) into a new folder, whole or not at all."""
    with atomic_path(folder) as temporary, ProcessPoolExecutor(cores()) as pool:
        temporary.mkdir(parents=True)
        files = -(-images // FILE_PICTURES)
        for _ in tqdm(pool.map(partial(_write, temporary, seed), range(files)), total=files,
                      desc="drawing surfaces", unit="file"):
            pass
