"""Artifacts are found by what they were made from, and believed only if whole."""

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from animcli.errors import ProjectError
from animcli.pipeline.cache import Store, find_segment
from animcli.pipeline.project import find_project
from animcli.pipeline.record import CacheKey, Part, Record, digest_of, files_of

RECIPE = CacheKey("write", 1, {"word": "hop"}, {"text": "00"}, {}, {"numpy": "2"})


def stored(
    folder: Path, cache_key: CacheKey = RECIPE, data: bytes = b"some bytes"
) -> Store:
    store = Store(folder / ".anim")
    store.output_path(cache_key, ".txt").write_bytes(data)
    store.commit(cache_key, ".txt", 1.5)
    return store


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "draw"},
        {"revision": 2},
        {"settings": {"word": "skip"}},
        {"inputs": {"text": "01"}},
        {"weights": {"model/a": "02"}},
        {"versions": {"numpy": "3"}},
    ],
)
def test_everything_in_a_recipe_changes_its_key(change: dict[str, object]) -> None:
    assert replace(RECIPE, **change).digest != RECIPE.digest  # type: ignore[arg-type]


def test_the_order_in_which_settings_were_given_changes_nothing() -> None:
    one = replace(RECIPE, settings={"a": 1, "b": 2})
    assert replace(RECIPE, settings={"b": 2, "a": 1}).digest == one.digest


def test_a_record_comes_back_as_it_was_written() -> None:
    record = Record(RECIPE, "", (Part("a/b", 3, "ff"),), 0.25)
    assert Record.from_json(record.to_json()) == record


@pytest.mark.parametrize("place", [0, 50, 200, -3])
def test_a_flipped_bit_in_a_record_shows(place: int) -> None:
    data = bytearray(Record(RECIPE, "", (Part("a/b", 3, "ff"),), 0.25).to_json())
    data[place] ^= 4
    with pytest.raises(ValueError):  # noqa: PT011  # JSON, UTF-8 or the checksum
        Record.from_json(bytes(data))


def test_a_record_cannot_name_files_outside_its_artifact() -> None:
    record = Record(RECIPE, "", (Part("../../x", 3, "ff"),), 0.25)
    with pytest.raises(ValueError, match="outside"):
        Record.from_json(record.to_json())


def test_a_folder_is_digested_by_names_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    before = digest_of(files_of(tmp_path))
    (tmp_path / ".part-x").write_bytes(b"not finished")
    assert digest_of(files_of(tmp_path)) == before
    (tmp_path / "b").rename(tmp_path / "c")
    assert digest_of(files_of(tmp_path)) != before


def test_what_was_committed_is_found_and_whole(tmp_path: Path) -> None:
    store = stored(tmp_path)
    artifact = store.find(RECIPE.digest)
    assert artifact is not None
    assert artifact.path.read_bytes() == b"some bytes"
    assert artifact.record.cache_key == RECIPE
    assert store.is_whole(artifact)
    assert not store.is_started(RECIPE.digest)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "flip": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "truncate": lambda data: data[:-1],
    "zero": lambda data: bytes(len(data)),
    "append": lambda data: data + b"x",
    "empty": lambda data: b"",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_shows(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    store = stored(tmp_path)
    artifact = store.find(RECIPE.digest)
    assert artifact is not None
    artifact.path.write_bytes(damage(artifact.path.read_bytes()))
    assert not store.is_whole(artifact)
    assert [line.state for line in store.verify()] == ["damaged"]
    assert store.find(RECIPE.digest) is None
    assert [line.state for line in store.ls()] == ["damaged"]


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_an_entry_with_a_damaged_record_is_set_aside_and_named(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    warnings: list[str] = []
    store = Store(stored(tmp_path).root, warnings.append)
    record = store.root / "store" / RECIPE.digest / "record.json"
    record.write_bytes(damage(record.read_bytes()))
    assert store.find(RECIPE.digest) is None
    assert len(warnings) == 1
    assert RECIPE.digest in warnings[0]


def test_an_entry_whose_record_is_gone_makes_room(tmp_path: Path) -> None:
    warnings: list[str] = []
    store = Store(stored(tmp_path).root, warnings.append)
    (store.root / "store" / RECIPE.digest / "record.json").unlink()
    assert store.find(RECIPE.digest) is None
    assert len(warnings) == 1
    assert not (store.root / "store" / RECIPE.digest).exists()


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_record_is_listed_and_found_by_verifying(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    store = stored(tmp_path)
    record = store.root / "store" / RECIPE.digest / "record.json"
    record.write_bytes(damage(record.read_bytes()))
    told = [(RECIPE.digest, "damaged")]
    assert [(line.key, line.state) for line in store.ls()] == told
    assert record.exists()  # looking changes nothing
    assert [(line.key, line.state) for line in store.verify()] == told
    assert not record.exists()
    assert [(line.key, line.state) for line in store.ls()] == told
    assert list(store.verify()) == []


def test_an_entry_under_another_key_is_not_believed(tmp_path: Path) -> None:
    store = stored(tmp_path)
    other = "0" * 64
    shutil.move(store.root / "store" / RECIPE.digest, store.root / "store" / other)
    assert store.find(other) is None


def test_clearing_leaves_nothing_that_can_be_made_again(tmp_path: Path) -> None:
    store = stored(tmp_path)
    store.output_path(replace(RECIPE, revision=2), ".txt").write_bytes(b"half")
    assert [line.state for line in store.ls()] == ["whole", "unfinished"]
    assert store.clear(unfinished_only=True) == len(b"half")
    assert [line.state for line in store.ls()] == ["whole"]
    assert store.clear() > 0
    assert list(store.ls()) == []


def test_the_cache_is_for_its_owner_only(tmp_path: Path) -> None:
    store = stored(tmp_path)
    assert store.root.stat().st_mode & 0o777 == 0o700


def test_the_nearest_settings_upwards_make_the_project(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    assert find_project(inner).root == inner.resolve()
    (tmp_path / "anim.toml").touch()
    assert find_project(inner).root == tmp_path.resolve()
    assert find_project(inner).cache == tmp_path.resolve() / ".anim"
    assert find_project(inner, tmp_path / "else").cache == tmp_path.resolve() / "else"


def test_looking_for_a_project_writes_nothing(tmp_path: Path) -> None:
    find_project(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_cache_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".anim").mkdir()
    (tmp_path / ".anim").chmod(0o777)
    with pytest.raises(ProjectError, match="written by everybody"):
        find_project(tmp_path)


def test_the_cache_is_left_out_by_git_however_it_came_about(tmp_path: Path) -> None:
    store = Store(tmp_path / "new" / ".anim")
    with store.locked("0" * 64):
        assert (store.root / ".gitignore").read_text() == "*\n"


def test_clearing_cleans_the_locks_that_nobody_holds(tmp_path: Path) -> None:
    store = stored(tmp_path)
    for number in range(3):
        with store.locked(f"{number:064x}"):
            pass
    with store.locked("busy"):
        store.clear()
        assert [path.name for path in (store.root / "locks").iterdir()] == ["busy"]
    store.clear()
    assert list((store.root / "locks").iterdir()) == []


def test_clearing_listing_and_clearing_at_once_end_well(tmp_path: Path) -> None:
    store = Store(tmp_path / ".anim")
    for number in range(200):
        store.output_path(replace(RECIPE, revision=number), ".txt").write_bytes(b"half")
    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(store.clear) for _ in range(2)]
        lists = [pool.submit(lambda: list(store.ls())) for _ in range(3)]
        assert sum(job.result() for job in jobs) <= 200 * len(b"half")
        assert all(len(each.result()) <= 200 for each in lists)
    assert list(store.ls()) == []


def test_an_entry_that_goes_while_it_is_listed_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stored(tmp_path)
    folders = Store._folders

    def late(self: Store, kind: str) -> list[Path]:
        found = folders(self, kind)
        shutil.rmtree(self.root / kind, ignore_errors=True)
        return found

    monkeypatch.setattr(Store, "_folders", late)
    assert list(store.ls()) == []


def test_a_unit_that_became_a_folder_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "frames-000000-abc.frames" / "x").mkdir(parents=True)
    assert find_segment(tmp_path, "frames-000000") is None
    assert list(tmp_path.iterdir()) == []
