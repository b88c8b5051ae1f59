"""Comparing with a truth: the right numbers, their protocols, and what is left out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import metric_goldens as golden
from builders.drawn_renders import clip_of
from torch import Tensor, nn

from animcli.metrics import pixels
from animcli.metrics.against_truth import USUAL_METRICS, NetworkName, compare
from animcli.metrics.clips import DISCO, SOUND, Clip, Pair, Protocol, paired
from animcli.metrics.edges import StoredNetworks
from animcli.metrics.features import FeatureStore, feature_key, squash
from animcli.metrics.frechet import frechet_distance
from animcli.metrics.measurement import METRICS, Measurement, averaged, left_out
from animcli.metrics.networks.lpips import LPIPS
from animcli.metrics.pixels import Pixels
from animcli.weights.store import WeightsStore


class Means(nn.Module):
    """Features: the mean of every channel, over all else."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x.flatten(2).mean(2) * self.scale


class TinyNetworks:
    """Means for the distances of sets; LPIPS with made-up weights."""

    def __init__(self) -> None:
        self.means = Means()
        torch.manual_seed(0)
        self.lpips = LPIPS("alex").eval()
        for weights in self.lpips.heads.parameters():
            weights.data.abs_()  # as the published ones are

    def network(self, name: NetworkName) -> nn.Module:
        return self.lpips if name.startswith("lpips") else self.means

    def digest(self, name: NetworkName) -> str:
        return f"weights of {name}"


def clip(name: str, frames: Sequence[Pixels]) -> Clip:
    return clip_of(frames, name)


def noisy(seed: int, frames: int = 24, spread: int = 40) -> list[Pixels]:
    """Frames that have something in common, and differ."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(60, 190, (64, 64, 3))
    return [
        np.clip(ground + rng.integers(-spread, spread + 1, ground.shape), 0, 255).astype(
            np.uint8
        )
        for _ in range(frames)
    ]


@pytest.fixture
def networks() -> TinyNetworks:
    return TinyNetworks()


def measured(found: list[Measurement]) -> dict[str, float | None]:
    return {each.metric.key: each.value for each in found}


def test_the_golden_clips_have_their_numbers(networks: TinyNetworks) -> None:
    truth, result = golden.clips()
    pair = paired(clip("a.mp4", list(result)), clip("b.mp4", list(truth)))
    wanted = ["l1", "psnr", "psnr_published", "dtssd"]
    found = measured(compare([pair], SOUND, networks, metrics=wanted))
    assert found["dtssd"] == pytest.approx(golden.numbers()["dtssd_all_pairs_levels"])
    each = [pixels.psnr(r, t) for r, t in zip(result, truth, strict=True)]
    assert found["psnr"] == pytest.approx(np.mean(each))
    assert found["l1"] == pytest.approx(np.abs(result.astype(float) - truth).mean())


def test_a_video_against_itself_is_perfect(networks: TinyNetworks) -> None:
    same = clip("a.mp4", noisy(0))
    found = compare([paired(same, same)], DISCO, networks)
    assert [each.metric.key for each in found] == list(USUAL_METRICS["disco"])
    values = measured(found)
    assert (values["l1"], values["psnr"], values["dtssd"]) == (0, 100, 0)
    assert values["ssim_disco"] == pytest.approx(1)
    for key in ("lpips_disco", "fid", "fid_vid", "fvd"):
        assert values[key] == pytest.approx(0, abs=1e-6)
    psnr = next(each for each in found if each.metric.key == "psnr")
    assert "24 frames are identical and count as 100 dB" in psnr.notes


def test_a_video_against_its_copy_one_frame_later_is_not(networks: TinyNetworks) -> None:
    frames = noisy(0, 25)
    pair = paired(clip("a.mp4", frames[1:]), clip("b.mp4", frames[:-1]))
    values = measured(compare([pair], SOUND, networks))
    assert values["l1"] > 1
    assert values["psnr"] < 40
    assert values["dtssd"] > 1
    assert values["lpips"] > 0


def test_the_published_mistake_is_measured_only_under_its_own_name(
    networks: TinyNetworks,
) -> None:
    pair = paired(clip("a.mp4", noisy(0)), clip("b.mp4", noisy(1)))
    assert "psnr_published" not in measured(
        compare([pair], DISCO, networks, metrics=["psnr"])
    )
    found = compare([pair], DISCO, networks, metrics=["psnr"], as_published=True)
    assert [each.metric.key for each in found] == ["psnr", "psnr_published"]
    assert found[1].value > found[0].value + 5
    assert "mistake" in found[1].metric.title


def test_every_number_says_its_protocol(networks: TinyNetworks) -> None:
    pair = paired(clip("a.mp4", noisy(0)), clip("b.mp4", noisy(1)))
    protocol = Protocol("disco", (256, 256), length=16, stride=4)
    found = {each.metric.key: each for each in compare([pair], protocol, networks)}
    assert found["ssim_disco"].protocol == (
        "ssim_disco/disco: RGB, 256x256 bilinear; "
        "grey uint8, uniform 7x7, sample covariance"
    )
    assert "windows of 16 every 4" in found["fvd"].protocol
    assert found["fvd"].samples == (3, 3)
    assert found["fid"].samples == (24, 24)
    assert any("only 3 clips" in note for note in found["fvd"].notes)
    assert any("overlap" in note for note in found["fvd"].notes)


def test_an_l1_of_the_tables_at_another_size_is_marked(networks: TinyNetworks) -> None:
    pair = paired(clip("a.mp4", noisy(0)), clip("b.mp4", noisy(1)))
    (found,) = compare([pair], SOUND, networks, metrics=["l1_disco"])
    assert any("256x256" in note for note in found.notes)


def test_lpips_of_the_tables_has_other_inputs(networks: TinyNetworks) -> None:
    truth, result = noisy(0, 2), noisy(1, 2)
    pair = paired(clip("a.mp4", result), clip("b.mp4", truth))
    wanted = ["lpips", "lpips_disco"]
    values = measured(compare([pair], SOUND, networks, metrics=wanted))
    left, right = (
        torch.from_numpy(np.stack(each)).permute(0, 3, 1, 2) / 255
        for each in (result, truth)
    )
    with torch.no_grad():
        unsigned = float(networks.lpips(left, right).mean())
        signed = float(networks.lpips(2 * left - 1, 2 * right - 1).mean())
    assert values["lpips_disco"] == pytest.approx(unsigned, rel=1e-5)
    assert values["lpips"] == pytest.approx(signed, rel=1e-5)


@pytest.mark.parametrize(("frames", "key"), [(16, "fvd"), (15, "fid_vid"), (1, "fid")])
def test_a_distance_of_too_few_samples_is_refused(
    networks: TinyNetworks, frames: int, key: str
) -> None:
    pair = paired(clip("a.mp4", noisy(0, frames)), clip("b.mp4", noisy(1, frames)))
    (found,) = compare([pair], DISCO, networks, metrics=[key])
    assert found.value is None
    assert "wants 2" in found.notes[0]


def test_absent_weights_leave_their_metrics_out_and_no_others(tmp_path: Path) -> None:
    pair = paired(clip("a.mp4", noisy(0)), clip("b.mp4", noisy(1)))
    found = compare([pair], DISCO, StoredNetworks(WeightsStore(tmp_path)))
    absent = {each.metric.key: each for each in found if each.value is None}
    assert absent.keys() == {"lpips_disco", "fid", "fid_vid", "fvd"}
    assert absent["fvd"].notes == (
        "the weights fvd-i3d aren't here (50.9 MB, Apache-2.0 (the repository that keeps "
        "this copy: CC-BY-NC-4.0)); get them with: anim weights pull fvd-i3d",
    )
    assert len(found) - len(absent) == 5


def test_sets_are_measured_over_all_frames_and_over_videos(networks: TinyNetworks) -> None:
    truth = [noisy(seed, frames) for seed, frames in ((0, 20), (1, 5))]
    result = [noisy(seed, frames) for seed, frames in ((2, 20), (3, 5))]
    result[1] = truth[1]
    pairs = [
        paired(clip(f"{n}.mp4", r), clip(f"{n}.mp4", t))
        for n, (r, t) in enumerate(zip(result, truth, strict=True))
    ]
    found = {each.metric.key: each for each in compare(pairs, SOUND, networks)}
    l1 = found["l1"]
    worse = np.mean([pixels.l1(r, t) for r, t in zip(result[0], truth[0], strict=True)])
    assert l1.value == pytest.approx(20 / 25 * worse)
    assert l1.over_videos == pytest.approx(worse / 2)
    assert dict(l1.per_video) == {"0.mp4": pytest.approx(worse), "1.mp4": 0}
    assert l1.per_frame == ()
    crowd = [
        np.stack([frame.reshape(-1, 3).mean(0) / 255 for video in side for frame in video])
        for side in (result, truth)
    ]
    assert found["fid"].value == pytest.approx(frechet_distance(*crowd), rel=1e-3)
    assert found["fid"].samples == (25, 25)


def test_features_are_kept_by_content_and_not_computed_again(
    networks: TinyNetworks,
) -> None:
    truth = clip("t.mp4", noisy(0))
    store: FeatureStore = {}
    for seed, calls in ((1, 2 * 9), (2, 9), (1, 0)):
        networks.means.calls = 0
        pair = paired(clip(f"{seed}.mp4", noisy(seed)), truth)
        compare([pair], DISCO, networks, metrics=["fvd"], store=store)
        assert networks.means.calls == calls
    assert len(store) == 3


def test_a_key_of_features_says_all_that_they_depend_on() -> None:
    one = clip("a.mp4", noisy(0, 2))
    other = clip("a.mp4", noisy(1, 2))
    keys = [
        feature_key("fvd", one, DISCO, "w"),
        feature_key("fvd", other, DISCO, "w"),
        feature_key("fid_vid", one, DISCO, "w"),
        feature_key("fvd", one, SOUND, "w"),
        feature_key("fvd", one, Protocol("disco", (256, 256), stride=16), "w"),
        feature_key("fvd", one, Protocol("disco", (256, 256), skip_first=True), "w"),
        feature_key("fvd", one, DISCO, "v"),
    ]
    assert len(set(keys)) == len(keys)
    renamed = clip("b.mp4", noisy(0, 2))
    assert feature_key("fvd", renamed, DISCO, "w") == keys[0]


def test_squashing_neither_rounds_nor_clips() -> None:
    edge = np.zeros((40, 30, 3), np.uint8)
    edge[:, 15:] = 255
    found = squash(edge, 112)
    assert found.shape == (112, 112, 3)
    assert found.min() < -1
    assert found.max() > 256
    assert (found != found.round()).any()


def test_progress_is_told_to_the_end(networks: TinyNetworks) -> None:
    told: list[tuple[str, int, int]] = []
    pair = paired(clip("a.mp4", noisy(0)), clip("b.mp4", noisy(1)))
    compare(
        [pair], DISCO, networks, metrics=["l1", "fid", "fvd"],
        progress=lambda *words: told.append(words),
    )  # fmt: skip
    last = {what: (done, total) for what, done, total in told}
    assert last == {
        "comparing a.mp4": (24, 24),
        "fid of a.mp4": (24, 24),
        "fid of b.mp4": (24, 24),
        "fvd of a.mp4": (9, 9),
        "fvd of b.mp4": (9, 9),
    }


def test_frames_without_a_value_do_not_count() -> None:
    nan = float("nan")
    found = averaged("l1", [("a.mp4", [1.0, nan, 3.0])], "p")
    assert (found.value, found.frames, found.per_frame) == (2, 2, (1, None, 3))
    assert averaged("l1", [("a.mp4", [nan])], "p").value is None
    assert left_out("fvd", "why").notes == ("why",)


def test_every_metric_is_described() -> None:
    for key, metric in METRICS.items():
        assert metric.key == key
        assert metric.title
        assert metric.about
        assert not metric.about.endswith(".")
    assert {key for keys in USUAL_METRICS.values() for key in keys} <= METRICS.keys()


def test_a_pair_of_clips_is_read_from_its_start_each_time() -> None:
    pair = Pair(clip("a.mp4", noisy(0, 3)), clip("b.mp4", noisy(1, 3)))
    assert len(list(pair.sides(SOUND))) == len(list(pair.sides(SOUND))) == 3
