"""The networks that metrics look through answer as the published code does."""

from pathlib import Path

import numpy as np
import pytest
import torch
from builders import metric_goldens as golden
from safetensors.torch import load_file
from torch import Tensor, nn

from animcli.metrics.against_truth import no_report
from animcli.metrics.clips import SOUND, Clip
from animcli.metrics.features import FeatureStore, SetMetric, features_of
from animcli.metrics.networks.face import FaceEmbedding
from animcli.metrics.networks.inception import FIDInception
from animcli.metrics.networks.lpips import LPIPS, Heads, Trunk
from animcli.metrics.networks.video import I3D, ResNet3D
from animcli.weights.store import WeightsStore

pytestmark = pytest.mark.usefixtures("no_gradients")


def close(actual: Tensor, expected: np.ndarray) -> None:
    """Hold to 1e-4 of the spread of the answers: float32, other thread counts."""
    spread = float(np.abs(expected).max())
    torch.testing.assert_close(
        actual, torch.from_numpy(expected), rtol=0, atol=1e-4 * spread
    )


def clip(frames: int, side: int) -> Tensor:
    """(1, 3, frames, side, side), levels."""
    return torch.from_numpy(golden.video(frames, side)).permute(3, 0, 1, 2)[None].float()


def picture(name: str) -> Tensor:
    """(1, 3, h, w) in 0..1."""
    return torch.from_numpy(golden.pictures()[name]).permute(2, 0, 1)[None].float() / 255


def test_i3d_gives_the_logits_of_the_published_code() -> None:
    network = golden.load(I3D(), "i3d")
    logits = network(clip(24, 224) / 127.5 - 1)[0]
    close(logits, golden.network_answers()["i3d_eps1e-3_pool1_24"])


def test_i3d_refuses_a_clip_that_is_too_short() -> None:
    with pytest.raises(ValueError, match="at least 10 frames, got 9"):
        I3D()(torch.zeros(1, 3, 9, 224, 224))


def features(metric: SetMetric, network: nn.Module, frames: np.ndarray) -> Tensor:
    """What is kept of a video whose frames have the size that the metric wants."""
    size = (frames.shape[2], frames.shape[1])
    video = Clip("a.mp4", len(frames), size, None, lambda: iter(frames), "digest")
    store: FeatureStore = {}
    found = features_of(metric, video, SOUND, network, "weights", store, no_report)
    assert list(store.values()) == [found]
    return torch.from_numpy(found)


def test_fvd_looks_at_a_video_as_the_published_code_does() -> None:
    network = golden.load(I3D(), "i3d")
    found = features("fvd", network, golden.video(17, 224))
    assert found.shape == (2, 400)
    close(found[0], golden.network_answers()["i3d_eps1e-3_pool1_16"])


def test_fid_vid_looks_at_a_video_as_the_published_code_does() -> None:
    network = golden.load(ResNet3D(), "resnet3d50")
    found = features("fid_vid", network, golden.video(16, 112))
    close(found[0], golden.network_answers()["resnet3d50_16"])


def test_fid_looks_at_frames_as_pytorch_fid_does() -> None:
    network = golden.load(FIDInception(), "fid_inception")
    frames = np.stack([golden.pictures()["a"], golden.pictures()["b"]])
    found = features("fid", network, frames)
    for row, name in zip(found, "ab", strict=True):
        close(row, golden.network_answers()[f"fid_inception_{name}"])


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    """The published heads in a store; torchmetrics' wheel has the same files."""
    torchmetrics = pytest.importorskip("torchmetrics")
    held = Path(torchmetrics.__file__).parent / "functional" / "image" / "lpips_models"
    files = [held / "vgg.pth", held / "alex.pth"]
    return WeightsStore(tmp_path).import_files("lpips-heads", files)


@pytest.mark.parametrize(("trunk", "manifest"), [("vgg", "vgg16"), ("alex", "alexnet")])
@pytest.mark.parametrize("other", ["b", "near"])
def test_lpips_gives_the_distances_of_its_package(
    heads: Path, trunk: Trunk, manifest: str, other: str
) -> None:
    network = LPIPS(trunk).eval()
    network.trunk.load_state_dict(golden.made_up(f"{manifest}_features"))
    network.heads.load_state_dict(load_file(heads / f"{trunk}.safetensors"))
    left, right = picture("a"), picture(other)
    numbers = golden.numbers()["lpips_made_up_trunk"]
    for inputs, text in (
        ((2 * left - 1, 2 * right - 1), "inputs -1..1 (as the package asks)"),
        ((left, right), "inputs 0..1 (DisCo)"),
    ):
        expected = numbers[f"{trunk} a_{other} {text}"]
        # The distance of the nearer pair is 4e-4 and less, of features rounded to 1e-7.
        assert network(*inputs).item() == pytest.approx(expected, rel=2e-4)


def test_the_heads_names_are_the_published_ones(heads: Path) -> None:
    for trunk, widths in (
        ("vgg", (64, 128, 256, 512, 512)),
        ("alex", (64, 192, 384, 256, 256)),
    ):
        state = Heads(widths).state_dict()
        found = load_file(heads / f"{trunk}.safetensors")
        assert {k: v.shape for k, v in found.items()} == {
            k: v.shape for k, v in state.items()
        }


def test_the_face_embedding_is_dlibs(dlib_face: Path) -> None:
    network = FaceEmbedding().eval()
    network.load_state_dict(load_file(dlib_face / "resnet.safetensors"))
    y, x = np.mgrid[:150, :150]
    stripes = np.repeat((3 * x + 5 * y)[..., None] % 256, 3, 2).astype(np.float32)
    embedding = network(torch.from_numpy(stripes).permute(2, 0, 1)[None])[0]
    assert embedding.norm().item() == pytest.approx(DLIB_NORM, rel=1e-6)
    torch.testing.assert_close(embedding[:8], torch.tensor(DLIB), rtol=0, atol=2e-6)


DLIB = [
    -0.0971215, 0.0964612, 0.0587105, -0.0630379,
    -0.0810201, -0.0648039, -0.0700732, -0.028904,
]  # fmt: skip
"""The first numbers that dlib 20.0.1 gives for those stripes, and the norm of all."""

DLIB_NORM = 1.3218487756865005
