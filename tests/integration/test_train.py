"""`anim train` from nothing to weights that the renderer makes a clip with."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from animcli.cli.main import main
from animcli.errors import PresetError, WeightsError
from animcli.pose.keypoints import BODY, KEYPOINTS
from animcli.pose.sequence import PoseSequence, even_ticks
from animcli.presets import Preset
from animcli.rendering.animate_anyone import AnimateAnyone, AnimateAnyoneConfig
from animcli.rendering.renderer import RenderRequest
from animcli.training.drawn import VALIDATION_SEEDS, DrawnPeople

SIDE, FRAMES = 64, 5
TOML = f"""
[data]
width = {SIDE}
height = {SIDE}
samples = 4
targets = 2
frames = 4
validation = 2

[autoencoder]
updates = 2
crop = 64
samples = 1
evaluated = 2

[1]
updates = 2
batch = 2
frames = 2
evaluated = 2
steps = 2
first_samples = 2

[2]
updates = 2
batch = 1
frames = 4
evaluated = 2
steps = 2
first_samples = 2
"""
PRESET = Preset(
    "tiny", renderer="tiny", width=SIDE, height=SIDE, steps=2, window=4, overlap=1,
    guidance=1.5,
)  # fmt: skip
FILES = {
    "config.json", "denoising_unet.safetensors", "reference_unet.safetensors",
    "pose_guider.safetensors", "image_token.safetensors", "motion_module.safetensors",
    "vae/config.json", "vae/diffusion_pytorch_model.safetensors",
}  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a run."""
    root = tmp_path_factory.mktemp("train")
    (root / "train.toml").write_text(TOML)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        words = ["train", "run", "--settings", "train.toml", "--quiet"]
        assert main(words) == 0
        yield root / "run"


def test_a_run_leaves_weights_curves_and_sheets(trained: Path) -> None:
    assert all((trained / name).is_file() for name in FILES)
    for stage in ("autoencoder", "1", "2"):
        rows = (trained / stage / "curve.jsonl").read_text().splitlines()
        assert json.loads(rows[-1])["updates"] == 2
        for name in ("checkpoint.pt", "sheet.png", "curve.png"):
            assert (trained / stage / name).is_file()


def request(folder: Path) -> RenderRequest:
    """A person that nobody was trained on, and its true keypoints."""
    people = DrawnPeople(VALIDATION_SEEDS, (SIDE, SIDE), FRAMES, consecutive=True)
    sample = people(7)
    ticks, base = even_ticks(FRAMES, Fraction(24))
    return RenderRequest(
        reference=sample.reference,
        reference_alpha=None,
        reference_pose=pose_of(sample.keypoints[:1], *even_ticks(1, Fraction(24))),
        motion=pose_of(sample.keypoints[1:], ticks, base),
        control=None,
        frames=FRAMES,
        size=(SIDE, SIDE),
        preset=PRESET,
        weights={"tiny": folder},
        device="cpu",
    )


def pose_of(
    keypoints: NDArray[np.float32], ticks: NDArray[np.int64], base: Fraction
) -> PoseSequence:
    points = np.zeros((len(keypoints), KEYPOINTS, 2), np.float32)
    scores = np.zeros((len(keypoints), KEYPOINTS), np.float32)
    points[:, BODY], scores[:, BODY] = SIDE * keypoints[..., :2], keypoints[..., 2]
    return PoseSequence(points, scores, ticks, base, (SIDE, SIDE))


class NoCheckpoint:
    def load(self) -> None:
        return None

    def save(self, arrays: object) -> None:
        return None


def render(asked: RenderRequest) -> NDArray[np.uint8]:
    renderer = AnimateAnyone(AnimateAnyoneConfig.read(asked.weights["tiny"]), "tiny")
    source = renderer.prepare(asked, NoCheckpoint(), lambda what, done, total: None)
    return np.stack(list(source(range(asked.frames))))


def copy_of(trained: Path, folder: Path) -> Path:
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(trained / name, folder / name)
    return folder


def louder(path: Path) -> None:
    """Weights that a short run has hardly moved from nothing: far from it."""
    torch.manual_seed(0)
    tensors = load_file(path)
    for name, each in tensors.items():
        if each.ndim > 1:
            tensors[name] = each + 0.2 * torch.randn(each.shape)
    save_file(tensors, path)


@pytest.fixture(scope="module")
def loud(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_of(trained, tmp_path_factory.mktemp("loud"))
    louder(folder / "denoising_unet.safetensors")
    louder(folder / "motion_module.safetensors")
    return folder


def test_the_renderer_makes_a_clip_with_them(loud: Path) -> None:
    frames = render(request(loud))
    assert frames.shape == (FRAMES, SIDE, SIDE, 3)
    assert len({frame.tobytes() for frame in frames}) == FRAMES
    np.testing.assert_array_equal(render(request(loud)), frames)


def test_reference_its_pose_and_the_learned_token_are_heard(
    loud: Path, tmp_path: Path
) -> None:
    asked = request(loud)
    usual = render(asked)
    assert asked.reference_pose is not None
    moved = replace(asked.reference_pose, points=asked.reference_pose.points + 9)
    other = np.ascontiguousarray(asked.reference[:, ::-1])
    for changed in (
        replace(asked, reference_pose=moved),
        replace(asked, reference=other),
    ):
        assert not np.array_equal(render(changed), usual)
    folder = copy_of(loud, tmp_path)
    louder(folder / "image_token.safetensors")
    assert not np.array_equal(render(request(folder)), usual)


@pytest.mark.parametrize("name", sorted(FILES - {"config.json"}))
def test_a_file_that_is_not_there_is_named(
    name: str, trained: Path, tmp_path: Path
) -> None:
    folder = copy_of(trained, tmp_path)
    (folder / name).unlink()
    with pytest.raises(WeightsError, match=Path(name).name):
        render(request(folder))


@pytest.mark.parametrize(
    ("name", "foreign"),
    [
        ("denoising_unet.safetensors", "reference_unet.safetensors"),
        ("motion_module.safetensors", "image_token.safetensors"),
        ("image_token.safetensors", "motion_module.safetensors"),
        ("vae/diffusion_pytorch_model.safetensors", "pose_guider.safetensors"),
    ],
)
def test_a_file_of_another_network_is_named(
    name: str, foreign: str, trained: Path, tmp_path: Path
) -> None:
    folder = copy_of(trained, tmp_path)
    shutil.copy(folder / foreign, folder / name)
    with pytest.raises(WeightsError, match=f"{Path(name).name} doesn't fit"):
        render(request(folder))


@pytest.mark.parametrize(
    "text",
    ["", "[1]", '{"unet": 3}', "{}", '{"unet": {"block_channels": [8]}}', "nonsense"],
)
def test_a_configuration_that_cannot_be_read_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(WeightsError, match=r"config\.json"):
        AnimateAnyoneConfig.read(tmp_path)


def test_a_motion_without_keypoints_is_refused(trained: Path) -> None:
    drawn = replace(request(trained), motion=None, control=lambda span: iter(()))
    with pytest.raises(PresetError, match="follows keypoints"):
        render(drawn)


def test_the_same_command_trains_no_more(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained.parent)
    before = {name: (trained / name).read_bytes() for name in FILES}
    curve = (trained / "2" / "curve.jsonl").read_bytes()
    assert main(["train", "run", "--settings", "train.toml", "--quiet"]) == 0
    assert {name: (trained / name).read_bytes() for name in FILES} == before
    assert (trained / "2" / "curve.jsonl").read_bytes() == curve


def test_a_session_that_ends_by_the_clock_begins_no_other_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    short = TOML.replace("[autoencoder]", "[autoencoder]\nminutes = 1e-9")
    (tmp_path / "train.toml").write_text(short)
    assert main(["train", "run", "--settings", "train.toml", "--quiet"]) == 0
    assert (tmp_path / "run" / "autoencoder" / "checkpoint.pt").is_file()
    assert not (tmp_path / "run" / "1").exists()
