"""Arrays that long work keeps so that it can go on: those of the last save, or none."""

import hashlib
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

import numpy as np
from numpy.typing import NDArray

from animcli.files import AtomicFile

DIGEST_BYTES: Final = 32


@dataclass(frozen=True)
class FileCheckpoint:
    """Named arrays in one file: an `.npz` without pickles, then the SHA-256 of it.

    after_save: called once the arrays are on the disk, a good moment to stop.
    """

    path: Path
    after_save: Callable[[], None] = lambda: None

    def load(self) -> dict[str, NDArray[np.generic]] | None:
        """Arrays that were saved last, or None; also None where the file is damaged."""
        if not self.path.is_file() or not _is_whole(self.path):
            return None
        with zipfile.ZipFile(self.path) as file:  # takes no offence at the digest
            return {
                name.removesuffix(".npy"): _read_array(file, name)
                for name in file.namelist()
            }

    def save(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        """Replace what was saved by `arrays`."""
        with AtomicFile(self.path) as file:
            with zipfile.ZipFile(cast(IO[bytes], file), "w") as archive:
                for name, array in arrays.items():
                    entry = zipfile.ZipInfo(f"{name}.npy")  # of 1980, so equal saves are
                    with archive.open(entry, "w", force_zip64=True) as part:
                        np.lib.format.write_array(
                            part, np.asarray(array), allow_pickle=False
                        )
            file.write(file.sha256.digest())
        self.after_save()

    def beside(self, name: str) -> "FileCheckpoint":
        """Another file in the same folder."""
        return FileCheckpoint(self.path.with_name(f"{name}.npz"), self.after_save)


def _is_whole(path: Path) -> bool:
    body = path.stat().st_size - DIGEST_BYTES
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while body > 0 and (piece := file.read(min(body, 1 << 20))):
            digest.update(piece)
            body -= len(piece)
        return file.read() == digest.digest()


def _read_array(file: zipfile.ZipFile, name: str) -> NDArray[np.generic]:
    with file.open(name) as part:
        array: NDArray[np.generic] = np.lib.format.read_array(part, allow_pickle=False)
        return array
