"""Seconds, bytes and memory of the page of `anim studio`.

    python tests/benchmarks/page_speed.py [TIMES [UPLOAD_MB]]

Starts the server TIMES (10) times: from the command to its URL, and what it then holds in
memory. Opens the page as often in a fresh context of Chromium: first paint, first paint
with content, and until everything has come and is in its place, by the browser's own clock;
bytes of all that was asked for. UPLOAD_MB: a sparse file of that size, brought in by that
page: seconds, and the most memory that the server took meanwhile. Wall seconds all: on a
busy machine they tell of the machine, so the load is told beside them.
"""

import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

from playwright.sync_api import Browser, Request, sync_playwright  # noqa: E402
from web_server import Served, serving  # noqa: E402

PAINTS = """() => Object.fromEntries(
  performance.getEntriesByType("paint").map((each) => [each.name, each.startTime]))"""
PATIENCE_MS = 600_000


def main() -> int:
    """Measure, and print tables."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    size = (int(sys.argv[2]) if len(sys.argv) > 2 else 0) << 20
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as scratch:
        seconds, spent, memory = starts(Path(scratch), times)
        row("start, s", seconds)
        row("start, s of a processor", spent)
        row("memory of the server, MB", memory)
        with serving(Path(scratch) / "page") as served, sync_playwright() as driver:
            browser = driver.chromium.launch(
                executable_path=os.environ.get("ANIM_CHROMIUM") or shutil.which("chromium"),
                args=["--no-sandbox", "--disable-dev-shm-usage"],
            )
            loads = [load(browser, served) for _ in range(times)]
            for n, what in enumerate(
                ("first paint, s", "first contentful paint, s", "ready, s",
                 "page, kB", "its data, kB", "requests")
            ):  # fmt: skip
                row(what, [each[n] for each in loads])
            if size:
                bring(browser, served, Path(scratch) / "large.mp4", size)
            browser.close()
    print(f"load after: {os.getloadavg()[0]:.1f}")
    return 0


def row(what: str, values: Sequence[float]) -> None:
    """A row: the median, the least and the most."""
    least, most = min(values), max(values)
    print(f"| {what} | {statistics.median(values):.3g} | {least:.3g} | {most:.3g} |")


def starts(scratch: Path, times: int) -> tuple[list[float], list[float], list[float]]:
    """Seconds from the command to the URL, of a clock and of a processor; MB then."""
    seconds, spent, memory = [], [], []
    for number in range(times):
        began = time.perf_counter()
        with serving(scratch / f"project-{number}") as served:
            seconds.append(time.perf_counter() - began)  # and one request for the session
            used = psutil.Process(served.process.pid).cpu_times()
            spent.append(used.user + used.system)
            memory.append(resident_mb(served))
    return seconds, spent, memory


def resident_mb(served: Served) -> float:
    """Resident memory of the server."""
    return float(psutil.Process(served.process.pid).memory_info().rss) / 1e6


def load(browser: Browser, served: Served) -> list[float]:
    """One visit: paints and readiness in seconds, kilobytes, requests."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    sizes: list[tuple[bool, int]] = []

    def heard(request: Request) -> None:
        if "/api/events" not in request.url:
            body = request.sizes()["responseBodySize"]
            sizes.append(("/api/" in request.url, body))

    page.on("requestfinished", heard)
    page.goto(served.url)
    page.wait_for_selector("body[data-ready=yes]")
    ready = page.evaluate("() => performance.now()")
    page.wait_for_function("() => performance.getEntriesByType('paint').length > 1")
    paints = page.evaluate(PAINTS)
    kb = [sum(n for api, n in sizes if api is wanted) / 1000 for wanted in (False, True)]
    context.close()
    moments = [paints["first-paint"], paints["first-contentful-paint"], ready]
    return [*(ms / 1000 for ms in moments), *kb, float(len(sizes))]


def bring(browser: Browser, served: Served, path: Path, size: int) -> None:
    """Bring in a large file by the page."""
    with path.open("wb") as file:
        file.truncate(size)
    page = browser.new_context().new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(served.url)
    page.wait_for_selector("body[data-ready=yes]")
    before, most, done = resident_mb(served), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            most[0] = max(most[0], resident_mb(served))

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    page.set_input_files("#bring-files", str(path))
    page.wait_for_selector(".error")  # zeros are no video, which is told once all are there
    seconds = time.perf_counter() - began
    done.set()
    watcher.join()
    said = page.locator(".error").first.inner_text().replace("\n", " ")
    pace = f"{seconds:.1f} s, {size / seconds / 1e6:.0f} MB/s"
    memory = f"memory {before:.0f} to {most[0]:.0f} MB"
    print(f"| {size >> 20} MiB brought in | {pace} | {memory} | {said} |")


if __name__ == "__main__":
    sys.exit(main())
