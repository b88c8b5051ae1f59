"""Samples: cut from footage, kept on the disk, and drawn into batches by their number."""

import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.short_film import FRAMES, HEIGHT, WIDTH, write_film
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from animcli.errors import InputError, ProjectError
from animcli.pose.draw_densepose import PART_COLOURS
from animcli.pose.io_pose import read_pose, write_pose
from animcli.training.samples import (
    REFERENCE_DISTANCE,
    SampleCutter,
    SampleDataset,
    SampleSchedule,
    SampleStore,
    Shares,
    Tensors,
    TrainingSource,
    sample_latents,
)
from animcli.video.images import write_picture


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> TrainingSource:
    return write_film(tmp_path_factory.mktemp("film"))


@dataclass(frozen=True)
class Content:
    """A sample of five frames that says its number; notes that it was made."""

    notes: Path
    frames: int = 5
    first: int = 0

    def __call__(self, number: int) -> Tensors:
        with self.notes.open("a") as file:
            file.write(f"{number}\n")
        rng = torch.Generator().manual_seed(number)
        return {
            "latents": torch.rand(self.frames, 8, 4, 4, generator=rng).half(),
            "reference": torch.rand(8, 4, 4, generator=rng).half(),
            "masks": torch.arange(self.frames)[:, None, None, None].byte(),
            "motion": torch.tensor(float(self.first + number)),
        }


def store_in(folder: Path, count: int = 6) -> SampleStore:
    folder.mkdir(parents=True, exist_ok=True)
    return SampleStore(folder / "samples", count, Content(folder / "made"))


def dataset_in(folder: Path, **changes: object) -> SampleDataset:
    store, none = store_in(folder), SampleStore(folder / "none", 0)
    usual = SampleDataset(
        store, none, Shares(), SampleSchedule(), batch=2, frames=3, seed=7
    )
    return replace(usual, **changes)


# Samples of footage.


def test_a_sample_is_a_function_of_its_number(film: TrainingSource) -> None:
    cutter = SampleCutter((film,), (32, 40), 3, (1, 2))
    for number in range(3):
        # A process of its own would get the cutter by way of pickle.
        one, other = cutter(number), pickle.loads(pickle.dumps(cutter))(number)
        for name, each in vars(one).items():
            np.testing.assert_equal(getattr(other, name), each)
    assert not np.array_equal(cutter(0).frames, cutter(1).frames)


def test_samples_hold_the_frames_that_they_say(film: TrainingSource) -> None:
    for number in range(4):
        sample = SampleCutter((film,), (32, 40), 4, (1, 2))(number)
        shown = [round(float(np.median(frame[..., 2])) / 20) for frame in sample.frames]
        assert set(np.diff(shown)) in ({1}, {2})
        assert sample.conditions.shape == sample.frames.shape == (4, 40, 32, 3)
        assert sample.whole.shape == (HEIGHT, WIDTH, 3)
        assert all(densepose.any() for densepose in sample.conditions)
    apart = SampleCutter((film,), (32, 40), 3, None)(0)
    assert apart.frames.shape == (3, 40, 32, 3)


def test_skeletons_and_keypoints_lie_where_those_of_their_frames_do(
    film: TrainingSource,
) -> None:
    size = (96, 128)
    sample = SampleCutter((film,), size, 2, (1, 1))(1)
    pose = read_pose(film.pose)
    pictures = [sample.reference, *sample.frames]
    for picture, found in zip(pictures, sample.keypoints, strict=True):
        number = round(float(np.median(picture[..., 2])) / 20)
        points = pose.points[number, :18]
        columns = np.round(picture[64, :, 0].astype(float) / 5)  # of the frame
        across = np.array([int(np.abs(columns - x).argmin()) for x, _ in points])
        inside = (columns[0] <= points[:, 0]) & (points[:, 0] <= columns[-1])
        assert inside.sum() > 12
        # Each column of the frame is two wide in the cut.
        off = (found[:, 0] * size[0] - across)[inside]
        assert np.abs(off).max() <= 3
        assert (found[inside, 2] == 1).mean() > 0.9  # the others lie above or below
        if picture is sample.frames[0]:
            lit = sample.conditions[0].any(axis=(0, 2))
            assert all(lit[max(x - 2, 0) : x + 3].any() for x in across)
            assert not lit.all()


def test_keypoints_outside_of_the_cut_are_not_visible(
    film: TrainingSource, tmp_path: Path
) -> None:
    pose = read_pose(film.pose)
    points = pose.points.copy()
    points[:, 4] = (WIDTH + 30, 20)
    write_pose(tmp_path / "a.pose", replace(pose, points=points))
    away = replace(film, pose=tmp_path / "a.pose")
    for number in range(4):
        keypoints = SampleCutter((away,), (32, 40), 3, None)(number).keypoints
        assert not keypoints[:, 4, 2].any()
        x, y, visible = np.moveaxis(keypoints, -1, 0)
        assert set(np.unique(visible)) == {0, 1}
        seen = visible > 0
        assert ((x > 0) & (x < 1) & (y > 0) & (y < 1))[seen].all()


def test_targets_are_far_from_the_reference(tmp_path: Path) -> None:
    for n in range(40):
        write_picture(tmp_path / f"{n:02}.png", np.full((32, 32, 3), 6 * n, np.uint8))
    cutter = SampleCutter((TrainingSource(tmp_path),), (32, 32), 3, None)
    for number in range(8):
        sample = cutter(number)
        reference = round(float(np.median(sample.reference)) / 6)
        shown = [round(float(np.median(frame)) / 6) for frame in sample.frames]
        reachable = max(reference, 39 - reference) >= REFERENCE_DISTANCE
        assert all(abs(n - reference) >= REFERENCE_DISTANCE for n in shown) or not reachable


def test_densepose_is_cut_with_its_frame_and_keeps_its_colours(
    film: TrainingSource,
) -> None:
    sample = SampleCutter((replace(film, pose=None),), (96, 128), 2, (1, 1))(1)
    assert sample.keypoints is None
    colours = {tuple(c) for c in PART_COLOURS.astype(int).tolist()}
    assert {tuple(c) for c in sample.conditions.reshape(-1, 3).tolist()} <= colours
    # Parts and red both change along the columns: four columns to a part.
    first = round(float(np.median(sample.frames[0][..., 2])) / 20)
    columns = np.round(sample.frames[0][64, :, 0].astype(float) / 5)
    parts = PART_COLOURS[((columns // 4).astype(int) + first) % 24]
    agree = (parts.astype(int) == sample.conditions[0][64]).all(axis=-1).mean()
    assert agree > 0.8  # all but the columns at the edges of parts


def test_densepose_of_another_size_is_named(film: TrainingSource, tmp_path: Path) -> None:
    for n in range(FRAMES):
        write_picture(tmp_path / f"{n:02}.png", np.zeros((32, 32, 3), np.uint8))
    other = replace(film, pose=None, densepose=tmp_path)
    with pytest.raises(InputError, match="is another size than"):
        SampleCutter((other,), (32, 40), 2, None)(0)


def test_short_footage_is_named(film: TrainingSource) -> None:
    cutter = SampleCutter((film,), (32, 40), 13, (1, 1))
    with pytest.raises(InputError, match="has 12 frames, samples of 13 are wanted"):
        cutter(0)


def test_a_picture_is_its_own_reference(film: TrainingSource) -> None:
    picture = TrainingSource(film.footage / "03.png", densepose=film.densepose / "03.png")
    sample = SampleCutter((picture,), (32, 40), 1, None)(0)
    np.testing.assert_array_equal(sample.frames[0], sample.reference)


# The store.


def test_a_store_gives_consecutive_frames_of_different_samples(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    whole = store.first(6, 5)
    densepose = store.draw([4, 1, 2], 2, np.random.default_rng(0))
    assert densepose["motion"].tolist() == [4, 1, 2]
    assert densepose["latents"].shape == (3, 2, 8, 4, 4)
    starts = set()
    for number, latents, masks in zip(
        [4, 1, 2], densepose["latents"], densepose["masks"], strict=True
    ):
        start = int(masks.flatten()[0])
        starts.add(start)
        torch.testing.assert_close(latents, whole["latents"][number][start : start + 2])
    assert len(starts) > 1
    torch.testing.assert_close(densepose["reference"], whole["reference"][[4, 1, 2]])
    assert store.draw([0], 9, np.random.default_rng(0))["latents"].shape[1] == 5


def test_a_sample_is_made_once_and_kept(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    for _ in range(3):
        store.draw([4, 1], 2, np.random.default_rng(0))
    assert (tmp_path / "made").read_text() == "4\n1\n"
    kept = load_file(store.path(4))
    torch.testing.assert_close(kept, store.make(4), rtol=0, atol=0)
    assert not list(store.folder.glob(".part*"))


def test_a_sample_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fails(number: int) -> Tensors:
        raise InputError("no such frame")

    with pytest.raises(InputError):
        SampleStore(tmp_path / "s", 3, fails).prepare(0)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_latents_are_drawn_from_what_the_autoencoder_is_unsure_of() -> None:
    mean, deviation = torch.randn(40, 4, 20, 20), torch.rand(40, 4, 20, 20)
    found = sample_latents(
        torch.cat([mean, deviation], dim=1), torch.Generator().manual_seed(0)
    )
    wanted = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(found, mean + deviation * wanted)


# Batches.


def test_a_batch_is_a_function_of_seed_and_number(tmp_path: Path) -> None:
    one, other = dataset_in(tmp_path / "a"), dataset_in(tmp_path / "b")
    batches = [one[number] for number in (0, 1, 2)]
    again = [other[number] for number in (2, 1, 0)][::-1]  # in another order
    torch.testing.assert_close(batches, again, rtol=0, atol=0)
    moved = dataset_in(tmp_path / "a", seed=8)
    chosen = [
        [tuple(each[n]["motion"].tolist()) for n in range(9)] for each in (one, moved)
    ]
    assert chosen[0] != chosen[1]
    assert len(set(chosen[0])) > 3
    assert all(a != b for a, b in chosen[0])  # different samples


def test_a_batch_is_no_larger_than_the_data(tmp_path: Path) -> None:
    batch = dataset_in(tmp_path, batch=9)[0]
    assert sorted(batch["motion"].tolist()) == list(range(6))


def test_pictures_frames_and_clips_come_as_often_as_said(tmp_path: Path) -> None:
    content = Content(tmp_path / "made", frames=1, first=100)
    pictures = SampleStore(tmp_path / "p", 2, content)
    shares = Shares(single_pictures=0.2, single_frames=0.3)
    dataset = dataset_in(tmp_path, pictures=pictures, shares=shares, batch=1)
    kinds = []
    for number in range(1000):
        batch = dataset[number]
        if batch["motion"].item() >= 100:
            kinds.append("picture")
        else:
            kinds.append({1: "frame", 3: "clip"}[batch["latents"].shape[1]])
    # Shares of 1000 draws have a deviation of 0.016 at most.
    for kind, share in (("picture", 0.2), ("frame", 0.3), ("clip", 0.5)):
        assert kinds.count(kind) / 1000 == pytest.approx(share, abs=0.06)


def test_shares_above_one_are_refused() -> None:
    with pytest.raises(ProjectError, match="are more than 1"):
        Shares(single_pictures=0.7, single_frames=0.5)


@given(st.integers(0, 500), st.floats(0, 5), st.integers(1, 2000), st.integers(0, 500))
def test_data_grow_from_the_first_samples_to_all(
    first: int, each: float, count: int, step: int
) -> None:
    sample_schedule = SampleSchedule(first, each)
    now, next_one = sample_schedule.at(step, count), sample_schedule.at(step + 1, count)
    assert now <= next_one <= count
    if first == 0:
        assert now == count
    else:
        assert now == min(count, int(first + each * step))


def test_samples_made_along_the_way_are_those_made_before(tmp_path: Path) -> None:
    sample_schedule = SampleSchedule(first_samples=2, samples_per_update=0.5)
    along = dataset_in(tmp_path / "along", sample_schedule=sample_schedule)
    before = dataset_in(tmp_path / "before", sample_schedule=sample_schedule)
    for number in range(6):
        before.clips.prepare(number)
    for step in range(12):
        torch.testing.assert_close(along[step], before[step], rtol=0, atol=0)
        there = {int(path.stem) for path in along.clips.folder.glob("*.safetensors")}
        assert there <= set(
            range(sample_schedule.at(step, 6))
        )  # no sooner than they are wanted
    assert len(there) == 6
