"""What is allowed holds where media are opened, in this process and in its children."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from builders.videos import tiny_clip
from PIL import Image

from animcli.errors import InputError
from animcli.video.images import read_picture
from animcli.video.limits import MOST_PIXELS, Limits, allowing
from animcli.video.reader import open_footage

ASK = "from animcli.video.limits import Limits; print(Limits().pixels)"


def test_threads_and_child_processes_keep_what_is_allowed() -> None:
    seen: list[int] = []
    with allowing(5000):
        thread = threading.Thread(target=lambda: seen.append(Limits().pixels))
        thread.start()
        thread.join()
        child = subprocess.run([sys.executable, "-c", ASK], capture_output=True, check=True)
    assert (seen, int(child.stdout)) == ([5000], 5000)
    assert Limits().pixels == MOST_PIXELS


def test_what_was_allowed_before_holds_again() -> None:
    with allowing(5000):
        with pytest.raises(InputError), allowing(6000):
            Limits().check_picture(Path("a.png"), 6001, 1)
        assert Limits().pixels == 5000


def test_media_are_opened_within_what_is_allowed(tmp_path: Path) -> None:
    clip = tiny_clip(tmp_path / "a.mp4", width=96, height=64)
    Image.fromarray(np.zeros((64, 96, 3), np.uint8)).save(tmp_path / "a.png")
    with allowing(96 * 64 - 1):
        for read in (open_footage, read_picture):
            path = clip if read is open_footage else tmp_path / "a.png"
            with pytest.raises(InputError, match="96x64 is over the limit") as refused:
                read(path)
            assert "--max-pixels" in refused.value.hint
    with allowing(96 * 64):
        assert open_footage(clip).info.width == 96
        assert read_picture(tmp_path / "a.png").pixels.shape == (64, 96, 3)


def test_more_may_be_allowed_than_pillow_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    Image.fromarray(np.zeros((64, 96, 3), np.uint8)).save(tmp_path / "a.png")
    with allowing(96 * 64):
        assert read_picture(tmp_path / "a.png").pixels.shape == (64, 96, 3)
