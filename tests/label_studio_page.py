"""The project with Label Studio, as a person labels in it: scripts, API, and the photograph in the browser."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import cv2
import httpx
import numpy as np
from served import free_port

from ss_poc.data.dataset import Sample

PAUSE_MS = 300  # Label Studio takes two clicks in shorter time for a double click


class Site:
    """The project, where one person labels."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.photos = folder, folder / "coco-annotator/datasets/photos"
        self.environment = {**os.environ, "ANNOTATOR": "label-studio", "ANNOTATOR_PORT": str(free_port()),
                            "PORT": str(free_port()), "MODE": "native", "CLICKS_PORT": str(free_port())}
        self.environment["SERVICE"] = f"http://127.0.0.1:{self.environment['PORT']}"
        self.address = f"http://127.0.0.1:{self.environment['ANNOTATOR_PORT']}"

    def run(self, *command: str, code: int = 0, **environment: str) -> str:
        """What a script prints; it must end with `code`."""
        log = self.folder / "said"
        with log.open("w") as file:  # not a pipe: what is started would hold it open
            done = subprocess.run(["sh", *command], cwd=self.folder, stdout=file, stderr=subprocess.STDOUT, timeout=400,
                                  stdin=subprocess.DEVNULL, env={**self.environment, **environment})
        said = log.read_text()
        assert done.returncode == code, said
        return said

    def account(self) -> dict[str, str]:
        lines = (self.folder / "coco-annotator/.annotator/account").read_text().split()
        return dict(line.split("=", 1) for line in lines)

    def ask(self, path: str, **params: Any) -> Any:
        """What Label Studio's API answers."""
        return httpx.get(f"{self.address}/api/{path}", params=params, timeout=60, trust_env=False,
                         headers={"Authorization": f"Token {self.account()['ANNOTATOR_TOKEN']}"}).json()

    def drive(self, code: str, *words: str) -> str:
        """Run Python where Label Studio's SDK is, with `driver()` that makes our driver of it; what it prints."""
        begin = ("import sys\nfrom pathlib import Path\nfrom ss_poc.labelling.label_studio import LabelStudio\n"
                 "def driver(): return LabelStudio(*sys.argv[1:3], Path('coco-annotator/datasets'))\n")
        return subprocess.run([".venv-annotate/bin/python", "-c", begin + code, self.address,
                               self.account()["ANNOTATOR_TOKEN"], *words], cwd=self.folder, check=True, text=True,
                              stdout=subprocess.PIPE, timeout=400, env={**self.environment, "PYTHONPATH": "src"}).stdout


class Canvas:
    """The photograph of a task in Label Studio."""

    def __init__(self, page: Any, site: Site, sample: Sample, project: str = "photos") -> None:
        self.page, self.size_hw = page, sample.size_hw
        number = site.ask("projects/", title=project)["results"][0]["id"]
        task = next(task["id"] for task in site.ask(f"projects/{number}/tasks/", page_size=1000)
                    if unquote(task["data"]["image"]).endswith(f"={project}/{sample.path.name}"))
        page.goto(f"{site.address}/projects/{number}/data?task={task}")
        page.locator("canvas").nth(1).wait_for()
        self.box, before = page.locator("canvas").first.bounding_box(), None
        while self.box is None or self.box != before:  # it is laid out anew once the photograph has come
            page.wait_for_timeout(1500)
            self.box, before = page.locator("canvas").first.bounding_box(), self.box

    def spot(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the photograph is on the screen."""
        return (self.box["x"] + round(x / self.size_hw[1] * self.box["width"]),
                self.box["y"] + round(y / self.size_hw[0] * self.box["height"]))

    def pixel(self, spot: tuple[float, float]) -> tuple[float, float]:
        """Which pixel of the photograph a place on the screen is."""
        return ((spot[0] - self.box["x"]) / self.box["width"] * self.size_hw[1],
                (spot[1] - self.box["y"]) / self.box["height"] * self.size_hw[0])

    def choose(self, kind: str, label: str) -> None:
        row = self.page.locator(".lsf-labels").nth(("polygon", "brush", "click", "box").index(kind))
        row.get_by_text(label, exact=True).click()
        self.page.wait_for_timeout(PAUSE_MS)

    def polygon(self, label: str, points: np.ndarray) -> np.ndarray:
        """Click points (N, 2) x, y, and the first once more; (H, W) bool of what was drawn."""
        self.choose("polygon", label)
        spots = [self.spot(*point) for point in points]
        for spot in [*spots, spots[0]]:
            self.page.mouse.click(*spot)
            self.page.wait_for_timeout(PAUSE_MS)
        return filled([self.pixel(spot) for spot in spots], self.size_hw)

    def stroke(self, label: str, points: np.ndarray) -> list[tuple[float, float]]:
        """Draw the brush along points (N, 2) x, y; those of the photograph that it went over."""
        self.choose("brush", label)
        spots = [self.spot(*point) for point in points]
        self.page.mouse.move(*spots[0])
        self.page.mouse.down()
        for spot in spots[1:]:
            self.page.mouse.move(*spot, steps=8)
        self.page.mouse.up()
        self.page.wait_for_timeout(PAUSE_MS)
        return [self.pixel(spot) for spot in spots]

    def smart(self, kind: str, label: str) -> None:
        """Take the smart tool, `click` or `box`, for a label."""
        switch = self.page.get_by_text("Auto-Annotation")
        switch.wait_for()
        tool = self.page.locator(".lsf-tool_smart").first
        if not tool.is_visible():
            switch.click()
        tool.hover()
        self.page.get_by_label({"click": "key-point-tool", "box": "rectangle-tool"}[kind]).click()
        self.page.mouse.move(5, 5)  # away from the tools, which open over the photograph
        self.choose(kind, label)

    def click(self, x: float, y: float, positive: bool = True) -> None:
        """Click with the smart tool, and wait for the answer."""
        with self.page.expect_response(lambda answer: "interactive-annotating" in answer.url):
            self.page.mouse.click(*self.spot(x, y)) if positive else self._alt_click(x, y)
        self.page.wait_for_timeout(2 * PAUSE_MS)

    def _alt_click(self, x: float, y: float) -> None:
        self.page.keyboard.down("Alt")
        self.page.mouse.click(*self.spot(x, y))
        self.page.keyboard.up("Alt")

    def drag(self, left: float, top: float, right: float, bottom: float) -> None:
        """Draw a box with the smart tool, and wait for the answer."""
        with self.page.expect_response(lambda answer: "interactive-annotating" in answer.url):
            self.page.mouse.move(*self.spot(left, top))
            self.page.mouse.down()
            self.page.mouse.move(*self.spot(right, bottom), steps=8)
            self.page.mouse.up()
        self.page.wait_for_timeout(2 * PAUSE_MS)

    def accept(self) -> None:
        self.page.get_by_test_id("bottombar-accept-suggestions-button").click()
        self.page.wait_for_timeout(PAUSE_MS)

    def submit(self) -> None:
        self.page.get_by_role("button", name="Submit").click()
        self.page.locator("button", has_text="Update").wait_for()


def logged_in(browser: Any, site: Site) -> Any:
    """A page of Label Studio in a browser of its own, logged in."""
    page = browser.new_context(viewport={"width": 1600, "height": 900}).new_page()
    page.set_default_timeout(120_000)  # where others use the cores, Label Studio takes its time
    page.goto(site.address)
    page.fill("input[name=email]", site.account()["ANNOTATOR_LOGIN"])
    page.fill("input[name=password]", site.account()["ANNOTATOR_PASSWORD"])
    page.keyboard.press("Enter")
    page.get_by_text("Recent Projects").wait_for()
    return page


def filled(points: list[tuple[float, float]], size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W) bool of a polygon: pixels whose middle is inside."""
    contour = np.array(points, np.float32)
    return np.array([[cv2.pointPolygonTest(contour, (x + 0.5, y + 0.5), False) >= 0 for x in range(size_hw[1])]
                     for y in range(size_hw[0])])


def corners(mask: np.ndarray) -> np.ndarray:
    """(N, 2) x, y: a polygon of few points around the largest part of a mask."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=cv2.contourArea)
    # Corners that lie close together would be clicked on twice: a click near the first one closes the polygon.
    return cv2.approxPolyDP(outline, max(2.0, 0.008 * cv2.arcLength(outline, True)), True)[:, 0] + 0.5


def middle_line(mask: np.ndarray) -> np.ndarray:
    """(N, 2) x, y along the longest direction of a mask."""
    points = np.argwhere(mask)[:, ::-1] + 0.5
    away = points - points.mean(axis=0)
    along = away @ np.linalg.svd(away, full_matrices=False)[2][0]
    parts = np.array_split(points[np.argsort(along)], 8)
    return np.array([part.mean(axis=0) for part in parts])


def near(points: list[tuple[float, float]], size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: what is no farther from a line than an eighth of the photograph's height."""
    canvas = np.zeros(size_hw, np.uint8)
    cv2.polylines(canvas, [np.array(points, np.int32)], False, 1, thickness=size_hw[0] // 4)
    return canvas.astype(bool)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())
