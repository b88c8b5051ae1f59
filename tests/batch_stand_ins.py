"""Jobs of animcli with small stand-ins for detector and renderer, for tests of batches.

`work` is a worker's function; with words behind it this file is the program itself, whose
slots call `work`:

    python tests/batch_stand_ins.py batch jobs.toml --slots 2
"""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil

TESTS = Path(__file__).resolve().parent
JOBS = """\
preset = "cutout"
size = "64x96"
codec = "png"
no_retarget = true
frames = {frames}
output = "out/{{reference}}-{{motion}}-{{seed}}"

[grid]
reference = ["ref.png"]
motion = ["first", "second"]
seed = [{seeds}]
"""


def register() -> None:
    """Put the stand-ins in the places of what is usual without weights."""
    from builders import stages

    from animcli.pose.detectors import registry
    from animcli.registry import RENDERERS, RendererEntry

    assert stages
    RENDERERS["cutout"] = RendererEntry("builders.stages:Gradient", 1, ("numpy",))
    registry.DETECTORS["blazepose"] = registry.DetectorEntry(
        "builders.stages:BrightSpot", ""
    )


def work(request: Mapping[str, Any], tell: Any) -> dict[str, Any]:
    """Do a job of a batch."""
    register()
    from animcli.cli.batch import job

    return job.run_request(request, tell)


def prepare(folder: Path, seeds: int = 2, frames: int = 20) -> None:
    """Write a reference, two motions as folders of pictures, and `jobs.toml`."""
    from builders.stages import spot_pictures

    from animcli.video.images import write_picture

    pictures = list(spot_pictures(frames + 5))
    for name, shown in (("first", pictures[5:]), ("second", pictures[:-5])):
        (folder / name).mkdir(parents=True)
        for number, picture in enumerate(shown):
            write_picture(folder / name / f"{number:04d}.png", picture)
    write_picture(folder / "ref.png", pictures[0])
    (folder / "anim.toml").write_text("")
    said = ", ".join(str(seed) for seed in range(seeds))
    (folder / "jobs.toml").write_text(JOBS.format(frames=frames, seeds=said))


def digests(folder: Path) -> dict[str, str]:
    """Result -> digest of all pictures in it."""
    found = {}
    for result in sorted(path for path in (folder / "out").iterdir() if path.is_dir()):
        digest = sha256()
        for picture in sorted(result.iterdir()):
            digest.update(picture.name.encode() + picture.read_bytes())
        found[result.name] = digest.hexdigest()
    return found


def environment() -> dict[str, str]:
    """Variables with which this file runs as a program."""
    path = os.pathsep.join(
        [str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
    )
    kept = {name: x for name, x in os.environ.items() if not name.startswith("ANIM_")}
    return {**kept, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def listening(process: int) -> set[str]:
    """Addresses on which a process and its descendants wait for others."""
    found = set()
    with suppress(psutil.Error):
        first = psutil.Process(process)
        for each in (first, *first.children(recursive=True)):
            with suppress(psutil.Error):  # it may have ended meanwhile
                found |= {
                    socket.laddr.ip
                    for socket in each.net_connections(kind="inet")
                    if socket.status == psutil.CONN_LISTEN or not socket.raddr
                }
    return found


def program(words: list[str]) -> int:
    """The command line."""
    import animcli.cli.batch.run
    from animcli.cli.main import main

    register()
    animcli.cli.batch.run.BATCH_RUNNER = "batch_stand_ins:work"  # type: ignore[misc]
    return main(words)


if __name__ == "__main__":
    sys.exit(program(sys.argv[1:]))
