"""Where the tests find what lies outside the repository, and what they do without it."""

import gc
import os
import shutil
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import settings

from animcli.errors import WeightsError
from animcli.weights.store import WeightsStore, default_root

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# A shared machine pauses as it likes; all else is as Hypothesis has it, in a CI run or not.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# A script that starts the tests with & has them ignore Ctrl-C, and all that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Don't look for garbage in a million objects of libraries, now and in every test."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


SHARED = Path(
    os.environ.get("ANIM_SHARED", Path(__file__).resolve().parents[1].parent / "shared")
)


def outside(folder: Path, variable: str) -> Path:
    """The folder, or a skip that says which variable would point to it."""
    if not folder.is_dir():
        pytest.skip(f"{folder.name} isn't here; {variable} says where it is")
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    return outside(SHARED, "ANIM_SHARED")


@pytest.fixture(scope="session")
def goldens() -> Path:
    return outside(Path(os.environ.get("ANIM_GOLDENS", SHARED / "goldens")), "ANIM_GOLDENS")


@pytest.fixture(scope="session")
def media() -> Path:
    return outside(SHARED / "media", "ANIM_SHARED")


@pytest.fixture(scope="session")
def manifests() -> Path:
    return outside(SHARED / "manifests", "ANIM_SHARED")


@pytest.fixture(scope="session")
def blazepose_models() -> Path:
    """BlazePose's model files, got now if they aren't here yet."""
    try:
        return WeightsStore(default_root(os.environ)).ensure("blazepose")
    except WeightsError as error:
        pytest.skip(f"BlazePose's models can't be had: {error}")


@pytest.fixture(scope="session")
def dlib_face() -> Path:
    """The folder of dlib's face embedding, where somebody has got it (100 MB to get)."""
    try:
        return WeightsStore(default_root(os.environ)).path("dlib-face")
    except WeightsError as error:
        pytest.skip(f"{error}; {error.hint}")


@pytest.fixture(scope="module")  # while it is open, a loop runs that asyncio.run() minds
def browser() -> "Iterator[Browser]":
    """A headless Chromium where there is one; ANIM_BROWSER_TESTS=needed: there must be."""
    chromium = os.environ.get("ANIM_CHROMIUM") or shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        missing_browser("playwright isn't installed: pip install 'animcli[studio-test]'")
    if not chromium:
        missing_browser("there is no Chromium; ANIM_CHROMIUM says where one is")
    with sync_playwright() as driver:
        opened = driver.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield opened
        opened.close()


def missing_browser(reason: str) -> NoReturn:
    """Skip, or fail where a skip is a failure."""
    if os.environ.get("ANIM_BROWSER_TESTS") == "needed":
        pytest.fail(reason)
    pytest.skip(reason)
