"""Finished units of unfinished work: files that carry their own digest in their name.

A long stage leaves one file per unit (a segment of frames, of video). The digest in the
name comes into being with the file, by one rename, so the next run can tell a whole unit
from a damaged one without a list that would have to be kept in step.
"""

from pathlib import Path

from animcli.project.record import hash_file
from animcli.project.writing import put_in_place, storing


def keep_unit(part: Path, folder: Path, stem: str) -> Path:
    """Move a finished file to its name in `folder`: `<stem>-<digest><suffix of part>`."""
    with storing(part):
        digest = hash_file(part)
    path = folder / f"{stem}-{digest}{part.suffix}"
    put_in_place(part, path)
    return path


def find_unit(folder: Path, stem: str) -> Path | None:
    """The unit that an earlier run left, if it is whole; a damaged one is removed."""
    whole = None
    for path in sorted(folder.glob(f"{stem}-*")):
        if whole is None and path.stem == f"{stem}-{hash_file(path)}":
            whole = path
        else:
            with storing(path):
                path.unlink(missing_ok=True)
    return whole
