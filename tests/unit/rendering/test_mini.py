"""The renderer of the embedded model, with weights that haven't learnt anything."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from animcli.characters.clip import Scene
from animcli.errors import PresetError
from animcli.networks.autoencoder import Autoencoder, AutoencoderConfig, fold, halve
from animcli.networks.heads import Tones, turned_heads
from animcli.networks.limbs import limb_code
from animcli.networks.mini import DECIDED, MiniConfig, MiniModel
from animcli.networks.warp import LAYERS, PARTS, move_parts
from animcli.pose.sequence import PoseSequence, even_ticks
from animcli.pose.skeleton import BODY, JOINTS
from animcli.presets import Preset
from animcli.rendering.mini import Mini, body_joints
from animcli.rendering.renderer import RenderRequest
from animcli.training.validation import whole_size

FRAMES, SIDE = 5, 64
PRESET = Preset("small", width=SIDE, height=SIDE, steps=3, guidance=1, window=3, overlap=1)


class Kept:
    """A checkpoint in memory that may end the run after a save."""

    def __init__(self, saves: int = 1000) -> None:
        self.arrays: dict[str, NDArray[np.generic]] | None = None
        self.saves = saves

    def load(self) -> dict[str, NDArray[np.generic]] | None:
        return self.arrays

    def save(self, arrays: Mapping[str, NDArray[np.generic]]) -> None:
        self.arrays = {name: np.array(array) for name, array in arrays.items()}
        self.saves -= 1
        if not self.saves:
            raise InterruptedError


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = MiniModel(MiniConfig(positions=0))
    torch.nn.init.normal_(model.unet.conv_out.weight, std=0.01)  # so that noise matters
    save_file(
        Autoencoder(AutoencoderConfig()).state_dict(), tmp_path / "autoencoder.safetensors"
    )
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    return tmp_path


def poses(joints: NDArray[np.floating]) -> PoseSequence:
    points = np.zeros((len(joints), JOINTS, 2), np.float32)
    points[:, BODY] = joints[..., :2]
    scores = np.zeros((len(joints), JOINTS), np.float32)
    scores[:, BODY] = 1
    ticks, base = even_ticks(len(joints), Fraction(24))
    return PoseSequence(points, scores, ticks, base, (SIDE, SIDE))


def request(weights: Path, preset: Preset = PRESET) -> RenderRequest:
    scene = Scene.from_seed(800_001)
    still = next(scene.drawings(1, (SIDE, SIDE), start=5))
    return RenderRequest(
        reference=still.picture,
        reference_alpha=None,
        reference_pose=poses(still.joints[None]),
        motion=poses(scene.joints(FRAMES, (SIDE, SIDE))),
        control=None,
        frames=FRAMES,
        size=(SIDE, SIDE),
        preset=preset,
        weights={"mini": weights},
        device="cpu",
    )


def quiet(what: str, done: int, of: int) -> None:
    """Report nothing."""


def frames_of(request: RenderRequest, kept: Kept) -> NDArray[np.uint8]:
    source = Mini().prepare(request, kept, quiet)
    return np.stack(list(source(range(FRAMES))))


@pytest.mark.parametrize("saves", [1, 2])
def test_a_stopped_render_goes_on_with_the_same_frames(weights: Path, saves: int) -> None:
    whole = frames_of(request(weights), Kept())
    kept = Kept(saves)
    with pytest.raises(InterruptedError):
        frames_of(request(weights), kept)
    np.testing.assert_array_equal(frames_of(request(weights), kept), whole)


def test_a_model_that_has_learnt_nothing_moves_the_limbs(weights: Path) -> None:
    once = Preset("once", width=SIDE, height=SIDE, steps=1, guidance=1)
    asked = request(weights, once)
    assert asked.motion is not None
    assert asked.reference_pose is not None
    model = MiniModel(MiniConfig(positions=0))
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(state, weights / "model.safetensors")
    coder = Autoencoder(AutoencoderConfig())
    picture = torch.from_numpy(asked.reference).permute(2, 0, 1)[None] / 127.5 - 1
    joints, seen = body_joints(asked.motion)
    small, still = halve(picture), body_joints(asked.reference_pose)
    code = limb_code(*still, (small.shape[-2] // 2, small.shape[-1] // 2))
    with torch.inference_mode():
        figure = model.look(fold(small), code).figure
        large = torch.nn.functional.interpolate(figure, scale_factor=2, mode="bilinear")
        tones = Tones.of(picture, large, still)
        for index, made in enumerate(frames_of(asked, Kept())):
            here = (joints[index : index + 1], seen[index : index + 1])
            moved = move_parts(small, still, here, figure=figure, tones=tones)
            height, width = small.shape[-2:]
            turned = turned_heads(tones, still, here, (SIDE, SIDE))
            whole, _ = moved.mix(
                torch.zeros(1, 2 * PARTS, height // 2, width // 2),
                torch.zeros(1, LAYERS, height, width),
                DECIDED,
            )
            like = whole_size(moved, picture, figure, turned)
            expected = (coder.decode(fold(whole), like)[0].clamp(-1, 1) + 1) * 127.5
            # One level: half by rounding, and float32.
            np.testing.assert_allclose(
                made, expected.permute(1, 2, 0).numpy(), rtol=0, atol=1
            )


def test_guidance_of_one_is_the_prediction_itself(weights: Path) -> None:
    plain = frames_of(request(weights), Kept())
    guided = Preset(
        "small", width=SIDE, height=SIDE, steps=3, guidance=3, window=3, overlap=1
    )
    assert (frames_of(request(weights, guided), Kept()) != plain).any()


def test_a_motion_without_joints_is_refused(weights: Path) -> None:
    asked = request(weights)
    without = RenderRequest(**{**vars(asked), "motion": None})
    with pytest.raises(PresetError, match="a drawn motion has none"):
        Mini().prepare(without, Kept(), quiet)
