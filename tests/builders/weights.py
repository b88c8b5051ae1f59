"""Small entries, files and sources for the tests of the weights store."""

import hashlib
from pathlib import Path

import torch
from safetensors.torch import save_file

from animcli.weights.catalog import CatalogEntry, Fetched, Hub, WeightFile
from animcli.weights.hub import Progress

HUB = Hub("somebody/something", "main")


def file(
    name: str,
    path: str | None = None,
    content: bytes | None = None,
    naming: str | None = None,
) -> WeightFile:
    """A file of an entry; its size and digest are known if its content is given."""
    size = None if content is None else len(content)
    digest = None if content is None else hashlib.sha256(content).hexdigest()
    return WeightFile(name, path or name, size, digest, size or 0, naming)


def entry(
    *files: WeightFile, name: str = "toy", on_first_use: bool = False
) -> CatalogEntry:
    return CatalogEntry(
        name, "a toy", "MIT", HUB, files, ("play",), goes_with=(), on_first_use=on_first_use
    )


class FakeHub:
    """Stands for the source of an entry: gives files with these contents, or fails."""

    def __init__(
        self, contents: dict[str, bytes], digests: dict[str, str] | None = None
    ) -> None:
        self.contents = contents
        self.digests = digests or {}
        self.asked = 0

    def __call__(self, entry: CatalogEntry, folder: Path, progress: Progress) -> Fetched:
        self.asked += 1
        paths = {}
        for wanted in entry.files:
            paths[wanted.name] = folder / "got" / wanted.path
            paths[wanted.name].parent.mkdir(parents=True, exist_ok=True)
            paths[wanted.name].write_bytes(self.contents[wanted.path])
        return Fetched(paths, "a" * 40, self.digests)


def tensors(*names: str, shape: tuple[int, ...] = (2, 3)) -> dict[str, torch.Tensor]:
    """A tensor of its own numbers for each name."""
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name in names}


def safetensors(path: Path, content: dict[str, torch.Tensor]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(content, path)
    return path


def pickled(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path
