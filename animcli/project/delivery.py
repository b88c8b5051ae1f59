"""What anim has put outside its cache: the reason why it may replace it."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from animcli.project.record import Artifact, canonical
from animcli.project.writing import make_folder, write_file

KEPT: Final = 8
"""Digests remembered per file: after a kill, an older one than the last may be there."""


@dataclass(frozen=True)
class Delivery:
    """What was put at one place.

    name: the place, relative to the project.
    plan: digest of what the user asked for.
    key: of the artifact that was put there last.
    digests: of what this plan has put there, the last one first.
    """

    name: str
    plan: str
    key: str
    digests: tuple[str, ...]


def read_delivery(cache: Path, name: str) -> Delivery | None:
    """What anim put at `name` last, as far as the cache knows."""
    try:
        table = json.loads(_path(cache, name).read_bytes())
        digests = tuple(table.pop("digests"))
        return Delivery(digests=digests, **table)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # damaged: then nothing is known, and nothing gets replaced


def write_delivery(cache: Path, name: str, plan: str, artifact: Artifact) -> None:
    """Say that an artifact is about to be put at `name`."""
    known = read_delivery(cache, name)
    earlier = known.digests if known and known.plan == plan else ()
    digests = (artifact.digest, *(d for d in earlier if d != artifact.digest))[:KEPT]
    delivery = Delivery(name, plan, artifact.record.recipe.key, digests)
    path = _path(cache, name)
    make_folder(path.parent)
    write_file(path, canonical(asdict(delivery)))


def _path(cache: Path, name: str) -> Path:
    return cache / "delivered" / f"{hashlib.sha256(os.fsencode(name)).hexdigest()}.json"
