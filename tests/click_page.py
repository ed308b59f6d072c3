"""The service's page as somebody labels on it by clicks, driven in Chromium."""

from __future__ import annotations

PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
# Of a photograph of the tiny set.
WIDTH, HEIGHT = 96, 64


def opened(browser, served, **settings):
    """The page of a service in a new browser context; it remembers what it complained about and asked for."""
    context = browser.new_context(locale="en-US", **settings)
    page = context.new_page()
    page.set_default_timeout(60_000)  # others may use the cores
    page.complaints, page.asked, page.dialogs, page.lose = [], [], [], False
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda said: page.complaints.append(said.text) if said.type == "error" else None)
    page.on("request", lambda asked: page.asked.append(asked.url))
    page.on("dialog", lambda dialog: (page.dialogs.append(dialog.message),
                                      dialog.accept() if page.lose else dialog.dismiss()))
    page.goto(f"http://127.0.0.1:{served.port}/")
    page.wait_for_selector("#legend button")
    return page


def show(page, path):
    """Give the page a photograph and wait for the prediction."""
    page.set_input_files("#file", str(path))
    page.wait_for_selector("#clicking:not([hidden])")
    page.wait_for_selector("#busy", state="hidden")


def pick(page, path, found=False):
    """Show a photograph and begin to label it."""
    show(page, path)
    page.locator("#click-found").set_checked(found)
    page.locator("#click-start").click()
    page.wait_for_selector("#stage.clicking")


def place(page, x, y, width=WIDTH, height=HEIGHT):
    """Where the middle of a pixel of the photograph is on the screen."""
    box = page.locator("#picture").bounding_box()
    return box["x"] + (x + 0.5) / width * box["width"], box["y"] + (y + 0.5) / height * box["height"]


def settled(page):
    page.wait_for_selector("#stage:not(.waiting)")
