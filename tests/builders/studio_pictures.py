"""Pictures of the page at work on the drawn people of `anim demo`.

    python tests/builders/studio_pictures.py            the two pictures of the documents
    python tests/builders/studio_pictures.py FOLDER     every area, to look at

With a folder: each area, a render in progress and errors, on a desk (1440x900) and on a
phone (390x844), light and dark. Wants playwright and a Chromium (`ANIM_CHROMIUM`, or on the
path) and the weights of the usual detector. Nothing here is a stand-in.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

from page_tab import LOADED, Tab  # noqa: E402
from PIL import Image  # noqa: E402
from playwright.sync_api import Browser, sync_playwright  # noqa: E402
from web_server import Served, serving  # noqa: E402

GUIDE = TESTS.parent / "docs" / "guide"
DESK, PHONE = (1440, 900), (390, 844)
COLOURS = 128
"""Of a picture in the documents; the page has few, and a figure's shading bears it."""


def main() -> int:
    """Start the page, work on it, and write pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as driver:
        opened = driver.chromium.launch(
            executable_path=os.environ.get("ANIM_CHROMIUM") or shutil.which("chromium"),
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        with serving(Path(scratch) / "dances") as served:
            if folder is None:
                take_documents(opened, served)
            else:
                folder.mkdir(exist_ok=True)
                take_all(opened, served, folder)
        opened.close()
    return 0


def take_documents(browser: Browser, served: Served) -> None:
    """Write what the guide and the README show."""
    tab = Tab(browser, served)
    bring_samples(tab)
    find_and_choose_wrist(tab)
    keep(tab, GUIDE / "studio-motion.png")
    render_and_compare(tab)
    keep(tab, GUIDE / "studio-results.png")
    tab.close()


def keep(tab: Tab, path: Path) -> None:
    """A picture of few colours, which is small."""
    tab.page.evaluate("() => scrollTo(0, 0)")
    tab.page.mouse.move(720, 880)
    tab.page.wait_for_timeout(500)
    tab.page.screenshot(path=path)
    with Image.open(path) as shown:
        few = shown.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


def bring_samples(tab: Tab) -> None:
    """Draw the two people of the demo."""
    tab.page.click("button:has-text('Draw a sample of both')")
    for name in ("dance.mp4", "ref.png"):
        tab.page.wait_for_selector(f".tile .name[title='{name}']")


def find_and_choose_wrist(tab: Tab) -> None:
    """Find the joints, and take one of them in hand."""
    tab.find()
    tab.until("() => document.querySelector('.stage video').readyState >= 2")
    tab.page.fill("#frame", "20")
    tab.page.select_option("#joint", label="right wrist")


def render_and_compare(tab: Tab) -> None:
    """Render with what is usual, and lay the result beside its motion."""
    tab.page.click("#tab-render")
    tab.page.wait_for_selector("#command:has-text('anim render')")
    tab.page.click("#render")
    tab.page.click(".job button:has-text('Show it') >> nth=0")
    tab.page.wait_for_selector("#compare")
    tab.page.select_option("#compare", label="the motion: dance.mp4")
    tab.page.evaluate(LOADED)
    tab.until("() => Number(document.getElementById('result-frame').max) >= 18")
    tab.page.fill("#result-frame", "18")


def take_all(browser: Browser, served: Served, folder: Path) -> None:
    """Write a picture of each area, a render in progress, and errors."""
    first = Tab(browser, served)
    first.page.screenshot(path=folder / "empty.png")
    bring_samples(first)
    find_and_choose_wrist(first)
    render_and_compare(first)
    wrong = Path(served.project) / "not-found.mp4"
    wrong.write_bytes(b"<!doctype html><p>not found")
    words = ["render", "--preset", "animate-anyone"]
    picture, motion = (digest_of(served, name) for name in ("ref.png", "dance.mp4"))
    served.json(
        "POST", "/api/jobs", {"words": [words[0], picture, "--motion", motion, *words[1:]]}
    )
    first.page.wait_for_selector(".job[data-state=failed]")
    first.close()
    for scheme in ("light", "dark"):
        for name, (width, height) in (("desk", DESK), ("phone", PHONE)):
            tab = Tab(browser, served, color_scheme=scheme)
            tab.page.set_viewport_size({"width": width, "height": height})
            areas = ["bring", "motion", "render", "results"]
            for area in [*areas, "queue"] if name == "phone" else areas:
                tab.page.click(f"#tab-{area}")
                if area == "results":
                    tab.page.click("#area-results .tile button >> nth=0")
                tab.page.wait_for_timeout(1500)
                tab.page.screenshot(path=folder / f"{name}-{scheme}-{area}.png")
            tab.page.click("#tab-bring")
            tab.page.set_input_files("#bring-files", str(wrong))
            tab.page.wait_for_selector(".error:has-text('looks like a web page')")
            tab.page.wait_for_timeout(300)
            tab.page.screenshot(path=folder / f"{name}-{scheme}-error.png")
            tab.close()
    tab = Tab(browser, served)
    tab.page.click("#tab-render")
    tab.choose("render-frames", "240")
    tab.choose("render-loop", "on")
    tab.page.wait_for_selector("#command:has-text('--loop')")
    tab.page.click("#render")
    tab.page.wait_for_selector(".screen video")
    tab.page.wait_for_timeout(1500)
    tab.page.screenshot(path=folder / "desk-light-decoding.png")
    tab.close()


def digest_of(served: Served, name: str) -> str:
    """The digest of an upload by its name."""
    found = served.json("GET", "/api/uploads")
    return str(next(each["digest"] for each in found if each["name"] == name))


if __name__ == "__main__":
    sys.exit(main())
