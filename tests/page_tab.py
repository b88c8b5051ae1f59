"""A tab of the page in a real browser, and what is asked of it."""

import json
import time
from pathlib import Path
from typing import Any

from web_server import Served

PATIENCE_MS = 300_000
FRAMES = 8
"""Of the motions that are brought in."""
EVIL = "<img src=x onerror=alert(1)>.mp4"


class Tab:
    """A tab of the page; errors in it, and requests to other machines, fail the test."""

    def __init__(self, browser: Any, served: Served, **options: Any) -> None:
        self.context = browser.new_context(
            viewport={"width": 1440, "height": 900}, accept_downloads=True, **options
        )
        self.context.set_default_timeout(PATIENCE_MS)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console", lambda m: self.errors.append(m.text) if m.type == "error" else None
        )
        self.page.on("request", lambda r: self._heard(r.url, served.origin))
        self.page.on("dialog", lambda dialog: self.errors.append("a dialog"))
        self.open(served.url)

    def _heard(self, url: str, origin: str) -> None:
        if not url.startswith((origin, "blob:", "data:")):
            self.elsewhere.append(url)

    def open(self, url: str) -> None:
        self.page.goto(url)
        self.page.wait_for_selector("body[data-ready=yes]")

    def bring(self, *files: Path) -> None:
        self.page.set_input_files("#bring-files", [str(file) for file in files])
        for file in files:
            self.page.wait_for_selector(f".tile .name[title={json.dumps(file.name)}]")

    def choose(self, name: str, value: str) -> None:
        control = self.page.locator(f"#{name}")
        if control.evaluate("e => e.tagName") == "SELECT":
            control.select_option(value)
        else:
            control.fill(value)
            control.press("Tab")

    def small(self, frames: str = "6") -> None:
        """Options of a small render that needs no body to retarget to."""
        self.page.click("#tab-render")
        self.choose("render-size", "64x96")
        self.choose("render-frames", frames)
        self.page.click("text=All options")
        self.choose("render-no_retarget", "on")

    def find(self) -> None:
        """Find the joints of the footage that is chosen."""
        self.page.click("#tab-motion")
        self.page.click("#find")
        self.wait_for_job("done")
        self.page.wait_for_selector("a:has-text('Save as .pose'):visible")

    def render(self) -> None:
        """Render, to the end, as the command says that is shown."""
        self.page.wait_for_selector("#command:has-text('--no-retarget')")
        done = self.page.locator(".job[data-state=done]").count()
        self.page.click("#render")
        self.until(
            "n => document.querySelectorAll('.job[data-state=done]').length > n", done
        )
        self.page.click(".job button:has-text('Show it')")  # the newest is the first
        self.page.wait_for_selector("#compare")

    def save(self, selector: str) -> Path:
        """The file that a link or button saves."""
        with self.page.expect_download() as saved:
            self.page.click(selector)
        return Path(saved.value.path())

    def until(self, script: str, argument: object = None) -> None:
        """Wait until a function of the page answers true.

        Playwright's own waiting evaluates text in the page, which its policy forbids.
        """
        end = time.monotonic() + PATIENCE_MS / 1000
        while not self.page.evaluate(script, argument):
            assert time.monotonic() < end, script
            self.page.wait_for_timeout(50)

    def wait_for_job(self, state: str) -> None:
        self.page.wait_for_selector(f".job[data-state={state}]")

    def close(self) -> None:
        self.context.close()
        assert self.errors == []
        assert self.elsewhere == []


LOADED = """() => new Promise((done) => {
  const video = document.querySelector("video.b");
  if (video.readyState > 1) done(); else video.onloadeddata = done;
})"""

NAMELESS = """() => [
  ...document.querySelectorAll("button, input, select, a, canvas[tabindex]"),
].filter((e) => e.checkVisibility())
  .filter((e) => !(e.textContent.trim() || e.ariaLabel || e.labels?.length))
  .map((e) => e.outerHTML.slice(0, 120))"""

FAINT = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (c) => {
    const [r, g, b] = c.slice(0, 3).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const says = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  const found = [];
  for (const e of document.querySelectorAll("body *")) {
    const hint = e.placeholder && !e.value ? e.placeholder : "";
    if (!e.checkVisibility() || e.closest(":disabled") || !(hint || says(e))) continue;
    const style = getComputedStyle(e, hint ? "::placeholder" : null);
    const [a, b] = [light(parse(style.color)), light(ground(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const text = hint || e.textContent.trim();
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${text.slice(0, 40)}`);
  }
  return found;
}"""
"""Text with less contrast than 4.5:1 (WCAG 2, 1.4.3), and how much it has."""
