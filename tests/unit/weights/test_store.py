"""An entry is in the store whole or not at all, and unchanged since it was checked."""

import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from builders.weights import FakeHub, entry, file, pickled, safetensors, tensors
from filelock import FileLock
from safetensors.torch import load_file

from animcli.errors import ProjectError, StorageError, WeightsError
from animcli.weights import stamp as stamp_module
from animcli.weights import store as store_module
from animcli.weights.catalog import CatalogEntry, Fetched, Packaged
from animcli.weights.inspect import sha256_of
from animcli.weights.stamp import read_stamp, stamped, write_stamp
from animcli.weights.store import WeightsStore, default_root

TOY = entry(file("a.onnx", content=b"model a"), file("deep/b.json", "b.json"))
CONTENTS = {"a.onnx": b"model a", "b.json": b"{}"}


def store_of(
    root: Path, *entries: CatalogEntry, hub: FakeHub | None = None
) -> WeightsStore:
    catalog = {each.name: each for each in entries or (TOY,)}
    return WeightsStore(root / "store", catalog, hub or FakeHub(CONTENTS))


def listing(root: Path) -> list[str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return sorted(path.relative_to(root).as_posix() for path in files)


def test_what_was_pulled_is_there_whole_and_nothing_else(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    assert not store.has("toy")
    folder = store.pull("toy")
    assert store.has("toy")
    assert (folder / "a.onnx").read_bytes() == b"model a"
    assert (folder / "deep" / "b.json").read_bytes() == b"{}"
    assert listing(store.root) == [
        ".incoming/toy.lock", "toy/a.onnx", "toy/deep/b.json", "toy/stamp.json",
    ]  # fmt: skip
    assert store.digests("toy") == {
        name: sha256_of(folder / name) for name in ("a.onnx", "deep/b.json")
    }


def test_what_is_there_isnt_pulled_again(tmp_path: Path) -> None:
    hub = FakeHub(CONTENTS)
    store = store_of(tmp_path, hub=hub)
    store.pull("toy")
    store.pull("toy")
    assert hub.asked == 1


def test_packaged_weights_are_used_where_they_are(tmp_path: Path) -> None:
    packaged = replace(
        entry(file("catalog.toml")), name="own", source=Packaged(folder="weights")
    )
    store = store_of(tmp_path, packaged)
    assert store.has("own")
    folder = store.pull("own")
    assert "[blazepose]" in (folder / "catalog.toml").read_text()
    assert store.digests("own") == {"catalog.toml": sha256_of(folder / "catalog.toml")}
    assert not (folder / "stamp.json").exists()
    with pytest.raises(WeightsError, match="come with animcli"):
        store.import_files("own", [folder / "catalog.toml"])


def test_packaged_weights_that_are_lost_come_with_a_new_install(tmp_path: Path) -> None:
    lost = replace(entry(file("lost.bin")), name="own", source=Packaged(folder="weights"))
    with pytest.raises(WeightsError) as caught:
        store_of(tmp_path, lost).path("own")
    assert caught.value.hint == "install animcli again"


def test_absent_weights_say_how_large_they_are_and_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        store_of(tmp_path).path("toy")
    assert caught.value.message == "the weights toy aren't here (7 bytes, MIT)"
    assert caught.value.hint == "get them with: anim weights pull toy"
    assert caught.value.exit_code == 5


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights are called 'tyo'") as caught:
        store_of(tmp_path).has("tyo")
    assert caught.value.hint == "there are: toy"


def test_only_what_is_wanted_on_first_use_is_got_without_being_asked_for(
    tmp_path: Path,
) -> None:
    wanted = entry(*TOY.files, name="wanted", on_first_use=True)
    store = store_of(tmp_path, TOY, wanted)
    assert store.ensure("wanted") == store.root / "wanted"
    with pytest.raises(WeightsError, match="aren't here"):
        store.ensure("toy")


@pytest.mark.parametrize(
    ("contents", "digests", "message", "bad"),
    [
        ({**CONTENTS, "a.onnx": b"model b"}, {}, "isn't the published a.onnx", "a.onnx"),
        ({**CONTENTS, "a.onnx": b"<html>.."}, {}, "is a web page", "a.onnx"),
        ({**CONTENTS, "a.onnx": b"mod"}, {}, "holds 3 of 7 bytes", "a.onnx"),
        (CONTENTS, {"deep/b.json": "0" * 64}, "isn't what somebody", "b.json"),
    ],
)
def test_a_bad_file_leaves_the_store_without_the_entry(
    tmp_path: Path,
    contents: dict[str, bytes],
    digests: dict[str, str],
    message: str,
    bad: str,
) -> None:
    store = store_of(tmp_path, hub=FakeHub(contents, digests))
    with pytest.raises(WeightsError, match=message):
        store.pull("toy")
    assert not store.has("toy")
    assert not any(path.endswith(bad) for path in listing(store.root))
    good = store_of(tmp_path)
    assert good.pull("toy") == good.path("toy")


def test_a_changed_file_is_named(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    path = store.pull("toy") / "a.onnx"
    path.write_bytes(b"model A")
    for ask in (store.path, store.digests, store.verify):
        with pytest.raises(WeightsError, match=r"a\.onnx has changed since it was checked"):
            ask("toy")


def rot(path: Path) -> None:
    """Other bytes, and size and time as they were."""
    before = path.stat()
    path.write_bytes(b"model A")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_flipped_bit_that_kept_size_and_time_is_found_at_once(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    rot(store.pull("toy") / "a.onnx")
    for each in (store, store_of(tmp_path)):
        for ask in (each.path, each.digests, each.verify, each.check_unchanged):
            with pytest.raises(WeightsError, match="has changed"):
                ask("toy")


def test_what_rots_on_the_disk_is_found_after_the_next_start_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store_of(tmp_path).pull("toy")
    held = read_stamp(folder)
    rot(folder / "a.onnx")
    assert held is not None
    # A disk's rot leaves the change time alone as well, which no program can imitate.
    now = {
        name: replace(stamped(folder / name, was.sha256, was.published), sha256=was.sha256)
        for name, was in held.files.items()
    }
    write_stamp(folder, replace(held, files=now))
    store_of(tmp_path).path("toy")
    monkeypatch.setattr(stamp_module, "this_boot", lambda: "the next one")
    with pytest.raises(WeightsError, match="has changed"):
        store_of(tmp_path).path("toy")


def test_each_byte_is_read_once_in_a_run_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_of(tmp_path).pull("toy")
    read: list[str] = []

    def counted(path: Path) -> str:
        read.append(path.name)
        return sha256_of(path)

    monkeypatch.setattr(stamp_module, "sha256_of", counted)
    store_of(tmp_path).path("toy")
    assert read == []
    monkeypatch.setattr(stamp_module, "this_boot", lambda: "the next one")
    for _ in range(2):
        store_of(tmp_path).path("toy")
    assert read == ["a.onnx", "b.json"]


def test_a_store_that_may_only_be_read_is_read_once_in_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store_of(tmp_path).pull("toy")
    (folder / "stamp.json").unlink()
    monkeypatch.setattr(store_module, "write_stamp", refuse)
    store = store_of(tmp_path)
    store.path("toy")
    monkeypatch.setattr(store_module, "check_published", refuse)
    assert store.digests("toy").keys() == {"a.onnx", "deep/b.json"}


def refuse(*_: object) -> None:
    raise PermissionError(13, "Permission denied")


def test_a_home_that_isnt_there_is_told() -> None:
    with pytest.raises(ProjectError, match="there is no such user"):
        default_root({"ANIM_WEIGHTS": "~nobody-of-this-name/x"})


def test_who_waits_for_another_process_at_first_use_finds_what_it_got(
    tmp_path: Path,
) -> None:
    """The one that is first removes the folder that the others were about to use."""
    hub = FakeHub(CONTENTS)
    first = store_of(tmp_path, hub=hub)
    lock = FileLock(first.root / ".incoming" / "toy.lock")
    Path(lock.lock_file).parent.mkdir(parents=True)
    waits, done = threading.Event(), []

    def wait() -> None:
        store = store_of(tmp_path, hub=hub)
        done.append(store.pull("toy", lambda what, *_: waits.set()))

    with lock:
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert waits.wait(20)
        shutil.rmtree(first.root / ".incoming" / "toy", ignore_errors=True)
    waiting.join(20)
    assert done == [first.path("toy")]


def test_an_import_looks_for_room_first_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "a.onnx").write_bytes(b"model a")
    (given / "b.json").write_bytes(b"{}")
    store = store_of(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5))
        with pytest.raises(StorageError, match="store has 5 bytes free; getting toy takes"):
            store.import_files("toy", [given])

    def fill(source: Path, target: Path) -> None:
        target.write_bytes(b"mod")
        raise OSError(28, "No space left on device", str(source), None, str(target))

    monkeypatch.setattr(shutil, "copyfile", fill)
    with pytest.raises(StorageError, match=r"store/.*a\.onnx: No space left"):
        store.import_files("toy", [given])
    assert listing(store.root) == [".incoming/toy.lock"]


def test_a_touched_file_is_read_once_and_then_trusted_again(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    folder = store.pull("toy")
    stamp = (folder / "stamp.json").read_text()
    os.utime(folder / "a.onnx", (1, 1))
    assert store.digests("toy")["a.onnx"] == sha256_of(folder / "a.onnx")
    assert (folder / "stamp.json").read_text() != stamp


@pytest.mark.parametrize("stamp", [None, "", "[]", '{"files": {}}', "\x00"])
def test_files_put_there_by_hand_are_checked_and_stamped(
    tmp_path: Path, stamp: str | None
) -> None:
    store = store_of(tmp_path)
    folder = store.root / "toy"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.onnx").write_bytes(b"model a")
    (folder / "deep" / "b.json").write_bytes(b"{}")
    if stamp is not None:
        (folder / "stamp.json").write_text(stamp)
    assert store.digests("toy").keys() == {"a.onnx", "deep/b.json"}
    (folder / "a.onnx").write_bytes(b"model A")
    (folder / "stamp.json").unlink()
    with pytest.raises(WeightsError, match="isn't the published"):
        store.path("toy")


def test_files_are_imported_under_the_stores_names(tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "a.onnx").write_bytes(b"model a")
    (given / "b.json").write_bytes(b"{}")
    store = store_of(tmp_path)
    assert store.import_files("toy", [given / "a.onnx", given / "b.json"]).name == "toy"
    assert store.import_files("toy", [given]).name == "toy"
    assert (given / "a.onnx").exists()


def test_an_import_names_what_is_missing_and_changes_nothing(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    store.pull("toy")
    other = tmp_path / "a.onnx"
    other.write_bytes(b"model a")
    with pytest.raises(WeightsError, match=r"toy isn't whole without b\.json"):
        store.import_files("toy", [other])
    with pytest.raises(WeightsError, match="no such file"):
        store.import_files("toy", [tmp_path / "none"])
    assert store.verify("toy")


NETWORK = entry(file("unet.safetensors", "unet.pth", naming="spatial"))


@pytest.mark.parametrize("published", ["unet.pth", "unet.safetensors", "unet.ckpt"])
def test_weights_are_stored_as_safetensors_whatever_they_came_as(
    tmp_path: Path, published: str
) -> None:
    content = tensors("module.a")
    write = safetensors if published.endswith(".safetensors") else pickled
    store = store_of(tmp_path, NETWORK)
    folder = store.import_files("toy", [write(tmp_path / published, content)])
    found = load_file(folder / "unet.safetensors")
    torch.testing.assert_close(found["a"], content["module.a"], rtol=0, atol=0)


def test_weights_that_dont_fit_the_network_arent_imported(tmp_path: Path) -> None:
    store = store_of(tmp_path, NETWORK)
    path = pickled(tmp_path / "unet.pth", tensors("a"))
    with pytest.raises(WeightsError, match=r"1 missing \(first: b\)"):
        store.import_files(
            "toy", [path], expect=lambda _: {"unet.safetensors": {"b": (1,)}}
        )
    assert not store.has("toy")


def test_weights_that_dont_fit_the_network_arent_pulled(tmp_path: Path) -> None:
    content = pickled(tmp_path / "unet.pth", tensors("a")).read_bytes()
    store = store_of(tmp_path, NETWORK, hub=FakeHub({"unet.pth": content}))
    shape = tuple(tensors("a")["a"].shape)
    with pytest.raises(WeightsError, match=r"1 missing \(first: b\)"):
        store.pull("toy", expect=lambda paths: {"unet.safetensors": {"b": shape}})
    assert not store.has("toy")
    store.pull("toy", expect=lambda paths: {"unet.safetensors": {"a": shape}})
    assert store.has("toy")


def test_a_second_pull_waits_for_the_first_and_finds_its_work_done(tmp_path: Path) -> None:
    hub, said = FakeHub(CONTENTS), []
    store = store_of(tmp_path, hub=hub)
    (store.root / ".incoming").mkdir(parents=True)
    first = FileLock(store.root / ".incoming" / "toy.lock")
    first.acquire()
    waiting = threading.Event()

    def progress(what: str, done: int, total: int) -> None:
        said.append(what)
        waiting.set()

    second = threading.Thread(target=store.pull, args=("toy", progress))
    second.start()
    assert waiting.wait(10)
    assert not store.has("toy")
    first.release()
    second.join(10)
    assert said == ["waiting for another anim that is getting toy"]
    assert (store.has("toy"), hub.asked) == (True, 1)


def test_a_disk_without_room_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    huge = entry(replace(file("a.onnx"), about=10**18))
    hub = FakeHub({})
    with pytest.raises(StorageError, match=r"takes 2000000000\.0 GB for a while"):
        store_of(tmp_path, huge, hub=hub).pull("toy")
    assert hub.asked == 0


def room_for(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = shutil.disk_usage("/")._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)


THREE = entry(*(file(f"{name}.onnx", content=name.encode() * 100) for name in "abc"))
BYTES = {f"{name}.onnx": name.encode() * 100 for name in "abc"}


def test_room_is_wanted_for_the_entry_and_its_largest_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(tmp_path, THREE, hub=FakeHub(BYTES))
    room_for(monkeypatch, 399)
    with pytest.raises(StorageError, match="takes 400 bytes for a while"):
        store.pull("toy")
    room_for(monkeypatch, 400)
    assert store.pull("toy") == store.path("toy")


def test_what_came_already_takes_no_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(tmp_path, THREE, hub=FakeHub(BYTES))
    part = store.root / ".incoming" / "toy" / "got" / "a.onnx.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(150))
    room_for(monkeypatch, 249)
    with pytest.raises(StorageError, match="250 bytes more than the 150 bytes that came"):
        store.pull("toy")
    room_for(monkeypatch, 250)
    assert store.pull("toy") == store.path("toy")


def test_a_pull_never_holds_more_than_one_file_twice_and_moves_what_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    flush = store_module._flush

    def watched(path: Path) -> None:
        folder = tmp_path / "store" / ".incoming" / "toy"
        files = [each for each in folder.rglob("*.onnx") if each.is_file()]
        held.append(sum(each.stat().st_size for each in files))
        flush(path)

    monkeypatch.setattr(store_module, "_flush", watched)
    store_of(tmp_path, THREE, hub=FakeHub(BYTES)).pull("toy")
    assert held[:3] == [300, 300, 300]  # each was moved: none is there twice


def test_files_that_were_ready_when_a_pull_broke_off_are_not_got_again(
    tmp_path: Path,
) -> None:
    broken = FakeHub(BYTES | {"c.onnx": b"<html>"})
    with pytest.raises(WeightsError, match="web page"):
        store_of(tmp_path, THREE, hub=broken).pull("toy")
    whole = FakeHub({"c.onnx": BYTES["c.onnx"]})  # knows no other file
    store = store_of(tmp_path, THREE, hub=whole)
    store.pull("toy")
    assert store.verify("toy").keys() == BYTES.keys()


def test_what_lies_in_the_hubs_cache_is_copied_and_stays_there(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    for name, content in BYTES.items():
        (tmp_path / "cache" / name).write_bytes(content)
    paths = {name: tmp_path / "cache" / name for name in BYTES}
    store = WeightsStore(
        tmp_path / "store", {"toy": THREE}, lambda *_: Fetched(paths, None, {})
    )
    store.pull("toy")
    assert all(path.is_file() for path in paths.values())


def test_converted_weights_may_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    store = store_of(tmp_path, NETWORK)
    store.import_files("toy", [pickled(tmp_path / "unet.pth", tensors("a"))])
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    made = store.path("toy") / "unet.safetensors"
    assert made.stat().st_mode == plain.stat().st_mode


def test_half_precision_is_half_of_the_bytes_and_is_told_by_the_stamp(
    tmp_path: Path,
) -> None:
    path = pickled(tmp_path / "unet.pth", tensors("a", shape=(100, 100)))
    whole, half = store_of(tmp_path / "1", NETWORK), store_of(tmp_path / "2", NETWORK)
    whole.import_files("toy", [path])
    half.import_files("toy", [path], half=True)
    sizes = [(s.path("toy") / "unet.safetensors").stat().st_size for s in (whole, half)]
    assert 0.49 < sizes[1] / sizes[0] < 0.51
    found = load_file(half.path("toy") / "unet.safetensors")["a"]
    assert found.dtype == torch.float16
    torch.testing.assert_close(
        found.float(), tensors("a", shape=(100, 100))["a"], atol=2e-3, rtol=0
    )
    assert whole.digests("toy") != half.digests("toy")  # so that caches keep them apart


def test_numbers_beyond_half_precision_are_refused_by_name(tmp_path: Path) -> None:
    store = store_of(tmp_path, NETWORK)
    path = pickled(tmp_path / "unet.pth", {"a.weight": torch.tensor([1e5])})
    with pytest.raises(WeightsError, match=r"a\.weight has numbers beyond float16"):
        store.import_files("toy", [path], half=True)


def test_a_store_that_cant_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="store") as caught:
        store_of(tmp_path).pull("toy")
    assert caught.value.exit_code == 7
    assert "ANIM_WEIGHTS" in caught.value.hint


def test_the_root_is_what_the_variable_says(tmp_path: Path) -> None:
    assert default_root({"ANIM_WEIGHTS": str(tmp_path)}) == tmp_path
    assert default_root({}).parts[-2:] == ("animcli", "weights")
