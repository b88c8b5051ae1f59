"""The page by keyboard alone: from the first control to the last, and a whole job."""

from pathlib import Path
from typing import Any

import pytest
from page_tab import Tab
from web_server import Served

pytestmark = pytest.mark.browser

FOCUSED = """() => {
  const e = document.activeElement, box = e.getBoundingClientRect();
  e.dataset.walked = "yes";
  const nav = document.querySelector("nav.tabs");
  const below = getComputedStyle(nav).position === "fixed";
  const top = document.querySelector("header.top").getBoundingClientRect().bottom;
  const bottom = below ? nav.getBoundingClientRect().top : innerHeight;
  return {
    end: e === document.body,
    name: (e.ariaLabel || e.labels?.[0]?.textContent || e.textContent).trim(),
    seen: Boolean(e.closest("header.top")) || (box.top >= top && box.bottom <= bottom),
    ring: getComputedStyle(e).outlineStyle !== "none",
  };
}"""
"""The control that has the focus: whether all of it is seen, and with a ring around it."""

MISSED = """() => [
  ...document.querySelectorAll("button, input, select, a[href], summary, [tabindex]"),
].filter((e) => e.checkVisibility() && !e.disabled && e.tabIndex >= 0)
  .filter((e) => e.type !== "radio" || e.checked)
  .filter((e) => !e.dataset.walked)
  .map((e) => e.outerHTML.slice(0, 120))"""


def walk(tab: Tab, area: str) -> list[dict[str, Any]]:
    """Every control from the tab of an area to the end of the page."""
    tab.page.evaluate("""() => {
      for (const e of document.querySelectorAll("[data-walked]")) delete e.dataset.walked;
    }""")
    tab.page.focus(f"#tab-{area}")
    tab.page.evaluate(FOCUSED)
    found = []
    for _ in range(200):
        tab.page.keyboard.press("Tab")
        control = tab.page.evaluate(FOCUSED)
        if control["end"]:
            return found
        found.append(control)
    raise AssertionError("the focus never comes to the end of the page")


def tab_to(tab: Tab, name: str) -> None:
    """Press Tab until a control of this name has the focus."""
    for _ in range(200):
        tab.page.keyboard.press("Tab")
        if tab.page.evaluate(FOCUSED)["name"].startswith(name):
            return
    raise AssertionError(f"Tab never comes to {name}")


def test_tab_comes_to_every_control_and_each_is_seen_when_it_does(
    tab: Tab, files: Path
) -> None:
    tab.bring(files / "ref.png", files / "spot.mp4", files / "doll.pose")
    tab.page.set_input_files("#bring-files", str(files / "page.mp4"))
    tab.page.wait_for_selector(".error:has-text('looks like a web page')")
    tab.small()
    tab.render()
    for width, height in ((1440, 900), (390, 844)):
        tab.page.set_viewport_size({"width": width, "height": height})
        for area in ("bring", "motion", "render", "results", "queue")[: 4 + (width < 1181)]:
            tab.page.click(f"#tab-{area}")
            tab.page.wait_for_timeout(500)  # what the area asks for has come
            found = walk(tab, area)
            where = f"{area} at {width} pixels"
            assert found, where
            assert [x["name"] for x in found if not x["seen"]] == [], where
            assert [x["name"] for x in found if not x["ring"]] == [], where
            assert tab.page.evaluate(MISSED) == [], where


def test_by_keyboard_alone_two_files_become_a_result(
    tab: Tab, served: Served, files: Path
) -> None:
    both = [str(files / "ref.png"), str(files / "doll.pose")]
    tab.page.on("filechooser", lambda chooser: chooser.set_files(both))
    tab_to(tab, "Choose files")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector(".tile .name[title='doll.pose']")
    tab_to(tab, "Go on to the motion")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector("#area-motion:not([hidden])")
    assert tab.page.evaluate("document.activeElement.id") == "tab-motion"
    tab.page.keyboard.press("ArrowRight")
    tab.page.wait_for_selector("#area-render:not([hidden])")
    tab_to(tab, "Size")
    tab.page.keyboard.type("64x96")
    tab_to(tab, "Frames")
    tab.page.keyboard.type("6")
    tab_to(tab, "All options")
    tab.page.keyboard.press("Enter")
    tab_to(tab, "No retarget")
    tab.page.keyboard.press("ArrowDown")
    tab.page.wait_for_selector("#command:has-text('--no-retarget')")
    tab.page.focus("#render-frames")
    tab_to(tab, "Render")
    tab.page.keyboard.press("Enter")
    tab.wait_for_job("done")
    tab_to(tab, "Show it")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector("#area-results:not([hidden]) .compare")
    tab.page.wait_for_selector("#area-results output:has-text('frame 0 of 5')")
    tab.page.focus("#tab-results")
    tab_to(tab, "Next frame")
    tab.page.keyboard.press("Enter")
    tab.page.wait_for_selector("#area-results output:has-text('frame 1 of 5')")
    assert len(list((served.project / "studio").glob("*.mp4"))) == 1
