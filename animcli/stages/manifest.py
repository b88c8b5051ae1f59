"""A file beside each video that says how to make it again."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import animcli
from animcli.project.record import Artifact
from animcli.project.writing import write_file
from animcli.stages.stage import Stage
from animcli.stages.workshop import Workshop

SCHEMA: Final = 1


def manifest_path(video: Path) -> Path:
    """Where the manifest of a video lies: `dance.mp4.json` beside `dance.mp4`."""
    return video.with_name(f"{video.name}.json")


def is_manifest(path: Path) -> bool:
    """Whether a file is what `write_manifest` writes."""
    try:
        table = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(table, dict) and "animcli" in table


def write_manifest(
    video: Path,
    artifact: Artifact,
    stage: Stage,
    workshop: Workshop,
    command: Sequence[str],
) -> None:
    """Write the manifest of a delivered video.

    It names the command, the digest of the result, and for every stage on the way its
    settings (seed and preset values among them), the digests of inputs and weights, the
    versions of libraries, and how long it took.
    """
    manifest = {
        "schema": SCHEMA,
        "animcli": animcli.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "command": list(command),
        "result": {"name": video.name, "sha256": artifact.digest},
        "stages": [
            {
                **asdict(made.record.recipe),
                "made": made.digest,
                "seconds": round(made.record.seconds, 3),
            }
            for made in workshop.chain(stage)
        ],
    }
    text = json.dumps(manifest, indent=2)  # in ASCII: names may hold what UTF-8 can't
    write_file(manifest_path(video), f"{text}\n".encode())
