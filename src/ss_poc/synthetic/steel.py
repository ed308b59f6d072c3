"""Photographs of steel with scratches, pits, stains and cracks, drawn with the region of each.

Each photograph begins as a height map and a reflectance; a defect carves the one and tints the other; then a lamp and
a camera make a photograph of both. Milling arcs, fingerprints and fine grinding marks are harmless: they are drawn, but
not labelled. Fields, angles and lengths are those of `fields`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..core.masks import mask_to_polygons
from .fields import (
    SIZE_HW,
    distance_from,
    fill,
    fractal,
    ramp,
    shrink,
    streaks,
    stroke,
    wander,
    where_positive,
)

__all__ = ["CLASSES", "SIZE_HW", "draw_photograph"]


@dataclass
class Surface:
    """The workpiece before the camera: (H, W) float32 height and (H, W, 3) float32 reflectance (RGB, 0..1)."""

    height: np.ndarray
    albedo: np.ndarray

    def tint(self, factor: np.ndarray | float, where: np.ndarray, rgb: Sequence[float] = (1, 1, 1)) -> None:
        """Multiply the reflectance by `factor * rgb` to the degree (H, W) `where`, 0..1."""
        goal = np.asarray(factor, np.float32)[..., None] * np.asarray(rgb, np.float32)
        self.albedo *= 1 + where[..., None] * (goal - 1)


def _metal(random: np.random.Generator) -> Surface:
    """Brushed, rolled or cast steel."""
    kind, angle = random.integers(3), random.normal(0, 0.1) + random.choice([0, np.pi / 2], p=[0.8, 0.2])
    if kind == 0:
        relief = streaks(random, 101, angle, 0.5) + 0.6 * streaks(random, 35, angle, 0.4)
        pattern, relief = 0.09 * streaks(random, 75, angle, 0.6) + 0.05 * relief, 0.14 * relief
    elif kind == 1:
        relief = 0.6 * streaks(random, 15, angle, 0.5) + fractal(random, 2, 1)
        pattern = 0.05 * streaks(random, 99, angle, 4) + 0.05 * fractal(random, 60) + 0.05 * relief
        relief = 0.15 * relief
    else:
        relief = 0.22 * fractal(random, 7, 3) + 0.2 * fractal(random, 2, 1)
        pattern = 0.07 * fractal(random, 2, 1) + 0.06 * fractal(random, 70, 3)
    albedo = random.uniform(0.46, 0.6) * (1 + pattern)
    return Surface(relief.astype(np.float32), np.repeat(albedo[..., None], 3, axis=2).astype(np.float32))


def _somewhere(random: np.random.Generator, margin: float) -> np.ndarray:
    return random.uniform(margin, 1 - margin, 2) * SIZE_HW[::-1]


def _milling(random: np.random.Generator, surface: Surface) -> None:
    """Arcs that a milling cutter leaves, fading in and out."""
    bearing = random.uniform(0, 2 * np.pi)
    centre = np.array([160, 120]) + random.uniform(250, 700) * np.array([np.cos(bearing), np.sin(bearing)])
    radius = distance_from(centre, 0, 1) + 0.6 * fractal(random, 60, 2)
    ridges = np.sin(radius * (2 * np.pi / random.uniform(5, 11))) * ramp(fractal(random, 80, 2), -1.5, 1)
    surface.height += 0.16 * ridges
    surface.albedo *= (1 + 0.02 * ridges)[..., None]


def _fingerprint(random: np.random.Generator, surface: Surface) -> None:
    angle, centre = random.uniform(0, np.pi), _somewhere(random, 0.15)
    whorl = distance_from(centre + random.uniform(-8, 8, 2), angle, 1.3) + 2.2 * fractal(random, 28, 2)
    ridges = np.sin(whorl * (2 * np.pi / random.uniform(4.2, 5.2)))
    pressed = ramp(1 - distance_from(centre, angle, 1.35) / 32 + 0.15 * fractal(random, 16, 3), 0, 0.5)
    surface.albedo *= (1 - pressed * (0.04 + 0.07 * ridges))[..., None]


def _grinding(random: np.random.Generator, surface: Surface) -> None:
    angle, centre = random.uniform(0, np.pi), _somewhere(random, 0.15)
    for _ in range(int(random.integers(6, 14))):
        turn, start = angle + random.normal(0, 0.06), centre + random.normal(0, 28, 2)
        end = start + random.uniform(25, 90) * np.array([np.cos(turn), np.sin(turn)])
        mark = shrink(stroke(np.array([start, end]), np.array([0.4, 0.4])))
        surface.height -= random.uniform(0.7, 2) * mark


def _stain(random: np.random.Generator, centre_xy: np.ndarray, surface: Surface) -> np.ndarray:
    """A dried liquid: translucent, with a fractal border and the dark rims that drying leaves."""
    radius = random.uniform(26, 46)
    distance = distance_from(centre_xy, random.uniform(0, np.pi), random.uniform(1, 1.5))
    field = 1 - distance / radius + 0.22 * fractal(random, radius * 0.8, 5)
    coverage, depth = fill(where_positive(field))
    rgb = [(0.68, 0.42, 0.22), (0.5, 0.38, 0.3), (0.58, 0.48, 0.28)][random.integers(3)]
    body = 0.55 + 0.13 * fractal(random, 24, 6)
    older = np.abs(field - random.uniform(0.25, 0.6)) / 0.08
    rim = 0.5 * np.exp(-depth / random.uniform(1.2, 2.6)) * ramp(fractal(random, 25, 2), -2, 1.5)
    strength = np.clip(body + rim + 0.15 * np.exp(-older**2), 0.35, 1.05)
    surface.tint(1.0, cv2.GaussianBlur(coverage, (0, 0), 0.6) * strength, rgb)
    surface.height *= 1 - 0.4 * coverage
    return coverage


def _pit(random: np.random.Generator, centre_xy: np.ndarray, surface: Surface) -> np.ndarray:
    """One to three eaten-out bowls: steep wall, rough and dark bottom, raised lip."""
    field = np.full(SIZE_HW, -1, np.float32)
    radius, centre = random.uniform(11, 20), centre_xy
    for _ in range(int(random.choice([1, 2, 3], p=[0.55, 0.3, 0.15]))):
        distance = distance_from(centre, random.uniform(0, np.pi), random.uniform(1, 1.3))
        field = np.maximum(field, 1 - distance / radius)
        bearing = random.uniform(0, 2 * np.pi)
        centre = centre + radius * random.uniform(1.5, 2.6) * np.array([np.cos(bearing), np.sin(bearing)])
        radius = max(8.0, radius * random.uniform(0.5, 0.8))
    coverage, depth = fill(where_positive(field + 0.09 * fractal(random, 14, 4)))
    depth, rough = cv2.GaussianBlur(depth, (0, 0), 1.2), fractal(random, 6, 4)
    bowl = 1 - np.exp(-depth / random.uniform(3, 5))
    lip = 1.6 * ramp(depth, 0, 0.8) * (1 - ramp(depth, 0.8, 2.2))
    surface.height *= 1 - coverage
    surface.height += coverage * (lip + 0.4 * rough * ramp(depth, 1, 4) - random.uniform(7, 9) * bowl)
    surface.tint(1 - 0.25 * ramp(depth, 0.5, 3) - 0.35 * ramp(depth, 1, 8) + 0.05 * rough, coverage, (1, 0.94, 0.88))
    return coverage


def _scratch(random: np.random.Generator, centre_xy: np.ndarray, surface: Surface) -> np.ndarray:
    """A dragged tool: a band of bare, bright metal with burrs at its edges, torn by a few deeper grooves."""
    count, length, angle = 70, random.uniform(110, 230), random.uniform(0, np.pi)
    along = np.linspace(-0.5, 0.5, count)
    ahead, aside = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    sideways = random.normal(0, 0.05) * length * (4 * along**2 - 0.5) + 0.4 * wander(random, count, 12)
    points = centre_xy + length * along[:, None] * ahead + sideways[:, None] * aside
    taper = np.clip((0.5 - np.abs(along)) * length / 20, 0.55, 1)
    widths = random.uniform(6.8, 8.5) * taper * np.clip(1 + 0.12 * wander(random, count, 16), 0.75, 1.25)
    skips = random.uniform(0.2, 0.8, int(random.choice([0, 1, 2], p=[0.6, 0.25, 0.15]))) * count
    shape = stroke(points[:0], widths[:0])
    for piece in np.split(np.arange(count), np.sort(skips).astype(int)):
        stroke(points[piece[4:]], widths[piece[4:]], shape)
    coverage, depth = fill(shape)
    force = np.clip(0.85 + 0.15 * fractal(random, 40, 4), 0.6, 1.1)
    surface.height += coverage * force * (0.5 - 1.1 * ramp(depth, 0.6, 2.6))
    surface.albedo += 0.6 * coverage[..., None] * (np.median(surface.albedo) - surface.albedo)  # no stain stays on it
    surface.tint(1 + 0.6 * force, coverage * ramp(depth, -0.5, 0.9))
    for _ in range(int(random.integers(1, 4))):
        first, last = np.sort(random.integers(0, count, 2)) + (-12, 12)
        part = slice(max(first, 0), last)
        offset = random.uniform(-0.33, 0.33) * widths[part, None] * aside
        groove = coverage * shrink(stroke(points[part] + offset, widths[part] * random.uniform(0.08, 0.22)))
        surface.height -= 1.2 * groove
        surface.tint(random.uniform(0.25, 0.5), groove * force.clip(0, 1))
    return coverage


def _crack(random: np.random.Generator, centre_xy: np.ndarray, surface: Surface) -> np.ndarray:
    """A jagged, branching gap of irregular width: black where deep, crumbled at the edges, fading out at its tips."""
    angle, length = random.uniform(0, 2 * np.pi), random.uniform(100, 190)
    start = centre_xy - 0.5 * length * np.array([np.cos(angle), np.sin(angle)])
    trunk, widths = _jagged(random, start, angle, length, random.uniform(7, 8.5))
    shape, side = stroke(trunk, widths), random.choice([-1, 1])
    for branch in range(int(random.integers(1, 4))):
        fork, turn = trunk[int(random.uniform(0.2, 0.8) * len(trunk))], side * (-1)**branch * random.uniform(0.5, 1.0)
        stroke(*_jagged(random, fork, angle + turn, length * random.uniform(0.2, 0.4), random.uniform(5, 6.5)), shape)
    coverage, depth = fill(shape)
    gap = ramp(depth, 0.7, 2.2)
    surface.height += coverage * (0.5 * fractal(random, 2, 1) * (1 - gap) - 1.2 * gap)
    surface.tint(0.5 + 0.1 * fractal(random, 4, 2), coverage * ramp(depth, -0.4, 0.6))
    surface.tint(0.28 + 0.08 * fractal(random, 12, 3), coverage * gap)
    return coverage


def _jagged(random: np.random.Generator, start_xy: np.ndarray, angle: float, length: float,
            width: float) -> tuple[np.ndarray, np.ndarray]:
    """The (N, 2) points and (N,) widths of a jagged line."""
    count = max(8, int(length / 2.5))
    headings = angle + 0.35 * wander(random, count, max(3, count // 6)) + random.normal(0, 0.5, count)
    steps = length / count * np.stack([np.cos(headings), np.sin(headings)], axis=1)
    points = start_xy + np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    swell = 1 + 0.25 * wander(random, count + 1, count // 3) + 0.1 * random.standard_normal(count + 1)
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
    away = distance_from(toward, random.uniform(0, np.pi), random.uniform(1, 2))
    lamp = np.exp(-(away / random.uniform(150, 280))**2)
    light = (random.uniform(0.7, 0.85) + random.uniform(0.25, 0.55) * lamp) * (
        1 - random.uniform(0.05, 0.3) * (distance_from(np.array([160, 120]), 0, 1.2) / 190)**2)
    warmth = random.uniform(-0.05, 0.07)
    picture = surface.albedo * (shade * light)[..., None] * np.array([1 + warmth, 1, 1 - warmth], np.float32)
    picture += 0.12 * (np.clip(shade - 1.15, 0, 1) * light)[..., None]
    picture = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), random.uniform(0.45, 0.8))
    grain = random.standard_normal((*SIZE_HW, 1), np.float32) + 0.5 * random.standard_normal((*SIZE_HW, 3), np.float32)
    picture += grain * random.uniform(0.008, 0.016) * np.sqrt(np.clip(picture, 0.05, 1))
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def draw_photograph(random: np.random.Generator, classes: Sequence[str]) -> tuple[np.ndarray, list[list[list[float]]]]:
    """Draw a photograph of steel with one defect of each of `classes`.

    Args:
        random: decides everything; the same state gives the same photograph.
        classes: names of CLASSES, in its order; none for a photograph without a defect.

    Returns:
        The photograph, (H, W, 3) uint8 RGB of SIZE_HW; and for each class its COCO polygons [[x, y, …], …] in pixels.
    """
    surface = _metal(random)
    for painter, chance in HARMLESS:
        if random.random() < chance:
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
