"""Files of the Hugging Face hub, one after another, each gone on with where it broke off.

The hub's own client says what there is and speaks HTTP, so that its address, tokens,
proxies and certificates are those that a user has set up, and its cache is looked at first.
The bytes are asked for here: the client begins a broken file anew, gigabytes or not.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from animcli.errors import WeightsError
from animcli.files import SHA256_HEX
from animcli.weights.catalog import (
    CatalogEntry,
    Fetched,
    Hub,
    Snapshot,
    WeightFile,
    by_hand,
)

Progress: TypeAlias = Callable[[str, int, int], None]
"""(what is being got, bytes so far, bytes in all or 0), for the progress line."""

SOCKET_TIMEOUT: Final = 30.0
"""Without a byte, after which a connection counts as broken."""


def address_of(entry: CatalogEntry, file: WeightFile) -> str | None:
    """Address that a file is downloaded from; None where it is part of something else."""
    if not isinstance(entry.source, Hub | Snapshot):
        return None
    from huggingface_hub import hf_hub_url

    return hf_hub_url(entry.source.repository, file.path, revision=entry.source.revision)


def from_hub(entry: CatalogEntry, hub: Hub, folder: Path, progress: Progress) -> Fetched:
    """The files of an entry: out of the hub's cache on this machine, else from the hub.

    Raises WeightsError with the reason: switched offline, out of reach, terms to accept,
    gone, refused. What has come so far stays in the folder.
    """
    cached = in_cache(entry, hub)
    if cached is not None:
        return cached
    from huggingface_hub import HfApi, hf_hub_url
    from huggingface_hub.hf_api import RepoFile

    api = HfApi(library_name="animcli")
    with telling(entry, hub):
        revision = hub.revision
        if not hub.pinned:  # so that all files are of one state
            revision = api.model_info(hub.repository, revision=revision).sha or revision
        published = [file.path for file in entry.files]
        found = {
            each.path: each
            for each in api.get_paths_info(hub.repository, published, revision=revision)
            if isinstance(each, RepoFile)
        }
    for file in entry.files:
        if file.path not in found:
            raise WeightsError(f"{hub} has no {file.path} any more", by_hand(entry))
    got = folder / revision
    paths = {}
    for file in entry.files:
        paths[file.name] = got / file.path
        with telling(entry, hub, file):
            url = hf_hub_url(hub.repository, file.path, revision=revision)
            download(url, found[file.path].size, paths[file.name], file.path, progress)
    digests = {  # the hub knows those of files in its large storage
        file.name: lfs.sha256
        for file in entry.files
        if (lfs := found[file.path].lfs) is not None
    }
    return Fetched(paths, revision, digests)


def in_cache(entry: CatalogEntry, hub: Hub) -> Fetched | None:
    """The files of an entry in the hub's cache on this machine, if it has all of them.

    Nothing is asked of the network. The cache calls large files after their digest.
    """
    from huggingface_hub import try_to_load_from_cache

    paths = {}
    for file in entry.files:
        there = try_to_load_from_cache(hub.repository, file.path, revision=hub.revision)
        if not isinstance(there, str):
            return None
        paths[file.name] = Path(there)
    first = entry.files[0]
    snapshot = paths[first.name].parents[first.path.count("/")]
    blobs = {name: path.resolve().name for name, path in paths.items()}
    digests = {name: blob for name, blob in blobs.items() if SHA256_HEX.fullmatch(blob)}
    return Fetched(paths, snapshot.name, digests)


def snapshot_in_cache(hub: Hub) -> Path | None:
    """The newest snapshot of any revision of a repository in the hub's cache."""
    from huggingface_hub import constants

    name = f"models--{hub.repository.replace('/', '--')}"
    found = Path(constants.HF_HUB_CACHE, name, "snapshots").glob("*/")
    return max(found, key=lambda folder: folder.stat().st_mtime, default=None)


def download(url: str, size: int, path: Path, what: str, progress: Progress) -> None:
    """Get a file of `size` bytes; what an earlier attempt left beside it isn't got again.

    A connection that breaks is taken up again as long as each brings something.
    """
    if path.is_file() and path.stat().st_size == size:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    if not part.is_file() or part.stat().st_size > size:
        part.write_bytes(b"")
    while (held := part.stat().st_size) < size:
        try:
            append(url, part, lambda done: progress(what, done, size))
        except transport_errors():
            if part.stat().st_size <= held:
                raise
            continue
        if part.stat().st_size <= held:
            break  # it ended early without a word; a digest or size tells
    part.replace(path)


def append(url: str, part: Path, done: Callable[[int], None]) -> None:
    """Get what is missing at the end of a file, or all of it where the hub won't go on."""
    from huggingface_hub import utils as client

    utils: Any = client  # it says of few of its names that they are for others

    held = part.stat().st_size
    headers = {
        **utils.build_hf_headers(library_name="animcli"),
        "Range": f"bytes={held}-",
        "Accept-Encoding": "identity",
    }
    with utils.get_session().stream(
        "GET", url, headers=headers, timeout=SOCKET_TIMEOUT
    ) as response:
        utils.hf_raise_for_status(response)
        goes_on = response.status_code == 206
        with part.open("ab" if goes_on else "wb") as file:
            for block in response.iter_bytes():  # as they come: none is lost with the line
                file.write(block)
                done(file.tell())


@contextmanager
def telling(
    entry: CatalogEntry, hub: Hub, file: WeightFile | None = None
) -> Iterator[None]:
    """Turn what the hub's client raises into WeightsErrors.

    Errors of the disk pass: they are the store's to tell.
    """
    from huggingface_hub import constants, errors

    what = f"{hub}'s {file.path}" if file else str(hub)
    try:
        yield
    except errors.OfflineModeIsEnabled as error:
        there = snapshot_in_cache(hub)
        otherwise = f"anim weights import {entry.name} {there}" if there else by_hand(entry)
        raise WeightsError(
            f"HF_HUB_OFFLINE is set, and the hub's cache here lacks files of {hub}",
            f"unset it, or {otherwise}",
        ) from error
    except errors.GatedRepoError as error:
        page = f"{constants.ENDPOINT}/{hub.repository}"
        raise WeightsError(
            f"{hub} is for accounts that accepted its terms",
            f"accept them at {page}, set HF_TOKEN to a token of that account, and again",
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise WeightsError(
            f"{hub} isn't there any more at {hub.revision}, or needs HF_TOKEN",
            by_hand(entry),
        ) from error
    except errors.EntryNotFoundError as error:
        raise WeightsError(f"{what} isn't there any more", by_hand(entry)) from error
    except errors.HfHubHTTPError as error:
        raise WeightsError(
            f"{what} was refused: {hub_message(error)}",
            f"the same command goes on from here; or {by_hand(entry)}",
        ) from error
    except transport_errors() as error:
        raise WeightsError(
            f"{hub} can't be reached: {hub_message(error)}",
            f"the same command goes on from here; or {by_hand(entry)}",
        ) from error


def transport_errors() -> tuple[type[Exception], ...]:
    """The root of the errors of the client's HTTP library, and Python's own."""
    from huggingface_hub.errors import HfHubHTTPError

    roots = cast("tuple[Any, ...]", HfHubHTTPError.__bases__)
    return (*(each for each in roots if each is not OSError), ConnectionError, TimeoutError)


def hub_message(error: Exception) -> str:
    """The first line of what an error says; its kind where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
