"""Whole repositories in diffusers' layout, whose files stay where they are.

The hub's client gets them into its own cache, which other programs share; the store notes
the folder and the digest of each file. Files that may run code are left where they are.
"""

import json
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from animcli.errors import WeightsError
from animcli.files import SHA256_HEX
from animcli.weights.catalog import CatalogEntry, Hub, Snapshot
from animcli.weights.hub import Progress, telling
from animcli.weights.inspect import not_weights, shapes_of
from animcli.weights.stamp import STAMP, EntryStamp, stamped

SHARDS_INDEX: Final = ".safetensors.index.json"
"""End of the name of a list: in which of several files each tensor of a network is."""


def fetch_snapshot(
    entry: CatalogEntry, source: Snapshot, progress: Progress
) -> tuple[Path, str]:
    """The folder of a repository in the hub's cache, got if it isn't there; its revision.

    Raises WeightsError with the reason, as for other files of the hub.
    """
    from huggingface_hub import snapshot_download

    progress(f"getting {source}", 0, 0)
    with telling(entry, Hub(source.repository, source.revision)):
        folder = snapshot_download(
            source.repository,
            revision=source.revision,
            allow_patterns=list(source.patterns),
            library_name="animcli",
        )
    return Path(folder), Path(folder).name  # the cache calls it by its revision


def wanted_files(folder: Path, source: Snapshot) -> list[str]:
    """Names of the files of a folder that a snapshot consists of, in order."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        hidden = any(part.startswith(".") for part in name.split("/"))
        fits = any(fnmatch(path.name, pattern) for pattern in source.patterns)
        if path.is_file() and fits and not hidden and name != STAMP:
            found.append(name)
    return found


def stated_digest(path: Path) -> str | None:
    """The SHA-256 of a file that the hub's cache states: it calls large files by it."""
    name = path.resolve().name
    return name if path.is_symlink() and SHA256_HEX.fullmatch(name) else None


def check_networks(folder: Path, files: Sequence[str]) -> None:
    """Raise WeightsError for a network of a folder without all of its tensors.

    files: names of the folder's files that count. Only their headers are read. Shapes are
    checked when the network is opened: one tensor may stand for several of its own.
    """
    held = {name: folder / name for name in files if name.endswith(".safetensors")}
    for path in held.values():
        if (what := not_weights(path)) is not None:
            raise WeightsError(f"{path} is {what}", "get it again")
    for name in files:
        place, _, last = name.rpartition("/")
        inside = place + "/" if place else ""
        if last == "config.json" and not any(x.startswith(inside) for x in held):
            raise WeightsError(
                f"{folder / place} has no .safetensors file", "get the whole folder"
            )
        if last.endswith(SHARDS_INDEX):
            for shard, tensors in _listed(folder / name).items():
                path = folder / place / shard
                there = shapes_of(path).keys() if path.is_file() else ()
                if lacking := [tensor for tensor in tensors if tensor not in there]:
                    raise WeightsError(
                        f"{path} lacks {len(lacking)} tensors (first: {lacking[0]})",
                        "get it again",
                    )


def _listed(index: Path) -> dict[str, list[str]]:
    """File -> its tensors, as an index has them."""
    found: dict[str, list[str]] = {}
    try:
        for tensor, file in json.loads(index.read_bytes())["weight_map"].items():
            found.setdefault(file, []).append(tensor)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise WeightsError(f"{index} lists no tensors", "get it again") from error
    return found


def stamp_folder(
    entry: CatalogEntry,
    source: Snapshot,
    folder: Path,
    revision: str | None,
    progress: Progress,
) -> EntryStamp:
    """The stamp of the files that a snapshot consists of, where they are.

    Raises WeightsError where one that the catalog names isn't among them, or a network
    isn't whole.
    """
    files = wanted_files(folder, source)
    lacking = [file.name for file in entry.files if file.name not in files]
    if lacking:
        raise WeightsError(
            f"{folder} isn't {entry.name}: it has no {lacking[0]}",
            f"the folder that {source} is as a whole",
        )
    check_networks(folder, files)
    found = {}
    for number, name in enumerate(files):
        progress(f"reading {name}", number, len(files))
        found[name] = stamped(folder / name, stated_digest(folder / name))
    return EntryStamp(str(source), revision, found, folder=str(folder))
