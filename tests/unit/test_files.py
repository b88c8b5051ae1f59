"""Files appear whole or not at all, and a refusal names the path and the room."""

import errno
import os
from pathlib import Path

import pytest
from builders.faults import Fault
from builders.small_files import files_up_to

from animcli import files
from animcli.errors import OutputError, StorageError
from animcli.files import PART, AtomicFile, remove_abandoned, temp_name, write_file

OLD, NEW = b"old" * 10, b"new" * 1_000_000


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    write_file(path, OLD)
    return path


@pytest.mark.parametrize("operation", ["open", "write", "fsync", "replace"])
def test_the_old_file_stays_when_a_write_is_refused(
    target: Path, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "about_to", Fault(operation, 1, "ENOSPC"))
    with pytest.raises(StorageError, match=r"file: No space left on device \([\d,]+ bytes"):
        write_file(target, NEW)
    assert target.read_bytes() == OLD
    assert list(target.parent.iterdir()) == [target]


def test_what_was_renamed_is_there_even_if_the_folder_cannot_be_flushed(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "about_to", Fault("fsync", 2, "EIO"))
    with pytest.raises(StorageError, match="Input/output error"):
        write_file(target, NEW)
    assert target.read_bytes() == NEW


def test_a_file_over_the_limit_is_refused_and_leaves_nothing(target: Path) -> None:
    with (
        pytest.raises(StorageError, match="File too large") as refusal,
        files_up_to(65536),
    ):
        write_file(target, NEW)
    assert refusal.value.exit_code == 7
    assert target.read_bytes() == OLD
    assert list(target.parent.iterdir()) == [target]


def test_an_exception_while_writing_leaves_the_old_file(target: Path) -> None:
    def write_and_stop() -> None:
        with AtomicFile(target) as file:
            file.write(NEW)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_stop()
    assert target.read_bytes() == OLD
    assert list(target.parent.iterdir()) == [target]


def test_a_link_is_replaced_and_what_it_pointed_to_is_kept(tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "link"
    victim.write_bytes(OLD)
    link.symlink_to(victim)
    write_file(link, NEW)
    assert (victim.read_bytes(), link.read_bytes()) == (OLD, NEW)


def test_only_what_ended_processes_left_is_removed(tmp_path: Path) -> None:
    ours = temp_name(tmp_path / "a")
    host = ours.name.removeprefix(PART).split("-")[0]
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    abandoned = tmp_path / f"{PART}{host}-{gone}-0.a"
    elsewhere = tmp_path / f"{PART}00000000-{gone}-0.a"
    for path in (ours, abandoned, elsewhere):
        path.write_bytes(b"half")
    remove_abandoned(tmp_path.iterdir())
    assert sorted(tmp_path.iterdir()) == sorted([ours, elsewhere])


@pytest.mark.parametrize(
    ("reason", "told"),
    [("EROFS", "file: Read-only file system"), ("EACCES", "file: Permission denied")],
)
def test_room_on_the_disk_is_told_only_where_it_is_short(
    target: Path, reason: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "about_to", Fault("open", 1, reason))
    with pytest.raises(StorageError) as refusal:
        write_file(target, NEW)
    assert refusal.value.message.endswith(told)
    assert refusal.value.hint.endswith("--cache-dir moves the cache")


@pytest.mark.parametrize("no_links", [False, True])
def test_what_came_meanwhile_is_never_replaced(
    target: Path, no_links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    if no_links:  # as FAT and some network disks
        monkeypatch.setattr("os.link", refuse)
    target.unlink()

    def write_beside_another() -> None:
        with AtomicFile(target, exclusive=True) as file:
            file.write(NEW)
            target.write_bytes(OLD)

    with pytest.raises(OutputError, match="exists already"):
        write_beside_another()
    assert (target.read_bytes(), list(target.parent.iterdir())) == (OLD, [target])
    target.unlink()
    write_file(target, NEW, exclusive=True)
    assert (target.read_bytes(), list(target.parent.iterdir())) == (NEW, [target])


@pytest.mark.parametrize("length", [5, 206, 207, 208, 250, 255])
def test_a_name_as_long_as_the_system_takes_can_be_written(
    length: int, tmp_path: Path
) -> None:
    path = tmp_path / f"{'v' * (length - 4)}.mp4"
    write_file(path, NEW)
    assert list(tmp_path.iterdir()) == [path]
    part = files.temp_name(path)
    part.write_bytes(NEW)
    assert list(files.parts_beside(path)) == [part]
    assert part.suffix == path.suffix


def test_folders_are_the_owners_alone_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        files.make_folder(tmp_path / "a" / "b" / "c")
    finally:
        os.umask(before)
    modes = [path.stat().st_mode & 0o777 for path in sorted(tmp_path.rglob("*"))]
    assert modes == [0o700] * 3
