"""The hub's files come whole, go on where they broke off, or with the reason why not."""

import errno
import hashlib
import inspect
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from builders import fake_hub
from builders.weights import HUB, entry, file

from animcli.errors import WeightsError
from animcli.weights.hub import hub_message, telling

MODEL = "unet/model.bin"
CONTENT = fake_hub.FILES[MODEL]
TOY = entry(file("a.bin"))


@pytest.fixture
def hub() -> Iterator[fake_hub.Server]:
    server = fake_hub.Server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def fetched_from(
    server: fake_hub.Server | int, tmp_path: Path, *paths: str, **more: str
) -> dict[str, object]:
    """What a process gets that knows only this hub, or a port with nobody behind it."""
    port = server if isinstance(server, int) else server.server_port
    own = {
        "HF_ENDPOINT": f"http://127.0.0.1:{port}",
        "HF_HOME": str(tmp_path / "home"),
        "HF_TOKEN": "",
    }
    ran = subprocess.run(
        [sys.executable, fake_hub.__file__, str(tmp_path / "got"), *paths],
        env={**os.environ, **own, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **more},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, object] = json.loads(ran.stdout)
    return found


def test_files_are_of_one_revision_with_their_digests(
    hub: fake_hub.Server, tmp_path: Path
) -> None:
    found = fetched_from(hub, tmp_path, *fake_hub.FILES)
    assert found["revision"] == fake_hub.COMMIT
    assert found["digests"] == {MODEL: hashlib.sha256(CONTENT).hexdigest()}
    for name, content in fake_hub.FILES.items():
        assert Path(found["paths"][name]).read_bytes() == content
    assert found["told"][-1] == ["config.json", 2, 2]


def test_a_connection_that_breaks_is_taken_up_inside_the_file(
    hub: fake_hub.Server, tmp_path: Path
) -> None:
    hub.cut = 3000
    found = fetched_from(hub, tmp_path, MODEL)
    assert Path(found["paths"][MODEL]).read_bytes() == CONTENT
    assert hub.ranges == ["bytes=0-", "bytes=3000-", "bytes=6000-"]
    done = [done for _, done, _ in found["told"]]
    assert done == sorted(done)  # the bar never goes back
    assert done[-1] == len(CONTENT)


def test_a_later_command_goes_on_inside_the_file(
    hub: fake_hub.Server, tmp_path: Path
) -> None:
    part = tmp_path / "got" / fake_hub.COMMIT / f"{MODEL}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:5000])
    found = fetched_from(hub, tmp_path, MODEL)
    assert hub.ranges == ["bytes=5000-"]
    assert Path(found["paths"][MODEL]).read_bytes() == CONTENT
    assert not part.exists()


def test_a_file_that_is_there_whole_is_not_got_again(
    hub: fake_hub.Server, tmp_path: Path
) -> None:
    fetched_from(hub, tmp_path, MODEL)
    hub.ranges.clear()
    fetched_from(hub, tmp_path, MODEL)
    assert hub.ranges == []


def test_a_file_the_hub_doesnt_have_any_more_is_named(
    hub: fake_hub.Server, tmp_path: Path
) -> None:
    found = fetched_from(hub, tmp_path, "gone.bin")
    assert found["message"] == "o/r has no gone.bin any more"


def test_an_unreachable_hub_is_one_line_and_a_way_round(tmp_path: Path) -> None:
    found = fetched_from(9, tmp_path, "a.bin")
    assert found["message"].startswith("o/r can't be reached: ")
    assert "anim weights import toy FILES" in found["hint"]


@pytest.mark.parametrize(
    ("status", "code", "message", "hint"),
    [
        (403, "GatedRepo", "accounts that accepted its terms", "HF_TOKEN"),
        (404, "RepoNotFound", "isn't there any more at main", "by hand"),
        (403, "", "was refused: ", "goes on from here"),
        (503, "", "was refused: ", "goes on from here"),
    ],
)
def test_refusals_are_told_apart(
    hub: fake_hub.Server, tmp_path: Path, status: int, code: str, message: str, hint: str
) -> None:
    hub.status = (status, code)
    found = fetched_from(hub, tmp_path, MODEL)
    assert message in found["message"]
    assert hint in found["hint"]


def test_offline_with_nothing_in_the_cache_says_so(tmp_path: Path) -> None:
    found = fetched_from(9, tmp_path, MODEL, HF_HUB_OFFLINE="1")
    assert found["message"].startswith("HF_HUB_OFFLINE is set")


def test_offline_another_snapshot_in_the_cache_is_named(tmp_path: Path) -> None:
    snapshot = tmp_path / "home" / "hub" / "models--o--r" / "snapshots" / ("2" * 40)
    snapshot.mkdir(parents=True)
    found = fetched_from(9, tmp_path, MODEL, HF_HUB_OFFLINE="1")
    assert found["message"].startswith("HF_HUB_OFFLINE is set")
    assert found["hint"] == f"unset it, or anim weights import toy {snapshot}"


def test_offline_the_hubs_cache_is_enough(tmp_path: Path) -> None:
    repository = tmp_path / "home" / "hub" / "models--o--r"
    digest = hashlib.sha256(CONTENT).hexdigest()
    for folder in ("refs", "blobs", f"snapshots/{fake_hub.COMMIT}/unet"):
        (repository / folder).mkdir(parents=True)
    (repository / "refs" / "main").write_text(fake_hub.COMMIT)
    (repository / "blobs" / digest).write_bytes(CONTENT)
    there = repository / "snapshots" / fake_hub.COMMIT / MODEL
    there.symlink_to(repository / "blobs" / digest)
    found = fetched_from(9, tmp_path, MODEL, HF_HUB_OFFLINE="1")
    assert found["paths"] == {MODEL: str(there)}
    assert found["revision"] == fake_hub.COMMIT
    assert found["digests"] == {MODEL: digest}


def test_a_full_disk_is_the_stores_to_tell() -> None:
    with pytest.raises(OSError, match="No space left"), telling(TOY, HUB):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_an_error_without_a_text_is_called_by_its_kind() -> None:
    assert hub_message(TimeoutError()) == "TimeoutError"
    silent = pytest.raises(WeightsError, match="can't be reached: ConnectionResetError")
    with silent, telling(TOY, HUB):
        raise ConnectionResetError


def test_the_client_takes_the_arguments_that_it_is_given() -> None:
    """Also by test_lowest_versions.py, with the lowest allowed client."""
    from huggingface_hub import HfApi, utils

    for name in ("build_hf_headers", "get_session", "hf_raise_for_status"):
        assert callable(getattr(utils, name))
    assert hasattr(utils.get_session(), "stream")
    for called, given in (
        (huggingface_hub.try_to_load_from_cache, {"revision": "main"}),
        (huggingface_hub.hf_hub_url, {"revision": "main"}),
        (HfApi().get_paths_info, {"revision": "main"}),
    ):
        inspect.signature(called).bind("o/r", "a.bin", **given)
    inspect.signature(HfApi().model_info).bind("o/r", revision="main")
    inspect.signature(huggingface_hub.snapshot_download).bind(
        "o/r", revision="main", allow_patterns=["*.json"], library_name="animcli"
    )
