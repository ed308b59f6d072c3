"""Screenshots of a report for docs/: desktop, gallery, phone and print.

    python benchmarks/pictures.py result/magnetic_tile/segment/v_1/valid/report.html docs/images/report
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("target", help="path and beginning of the name of the pictures")
    options = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[
            "--no-sandbox", "--disable-background-networking", "--disable-component-update"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(options.page.resolve().as_uri())
        page.wait_for_function("[...document.images].filter(image => image.src).every(image => image.complete)")
        page.screenshot(path=f"{options.target}.png")
        for name in ("pixels", "gallery", "labels", "training", "engines"):
            page.locator(f"#{name}").scroll_into_view_if_needed()
            page.evaluate(f"document.getElementById('{name}').scrollIntoView()")
            page.screenshot(path=f"{options.target}-{name}.png")
        page.pdf(path=f"{options.target}-print.pdf", format="A4")
        page.set_viewport_size({"width": 390, "height": 844})
        page.evaluate("window.scrollTo(0, 0)")
        page.screenshot(path=f"{options.target}-phone.png")
        browser.close()


if __name__ == "__main__":
    main()
