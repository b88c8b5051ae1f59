"""At full size the networks have the keys and shapes of the published files, no others."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from torch import nn

from animcli.errors import WeightsError
from animcli.metrics.edges import expected_tensors
from animcli.networks.controlnet import ControlNet, PoseGuider
from animcli.networks.reference_net import ReferenceNet, unused_keys
from animcli.networks.unet import (
    ANIMATE_ANYONE_UNET,
    CINEMO_UNET,
    MAGIC_ANIMATE_UNET,
    MotionUNet,
    UNet,
)
from animcli.networks.unet_blocks import UNetConfig
from animcli.rendering.expected import CONFIGURED, expected_shapes
from animcli.weights.catalog import load_catalog
from animcli.weights.convert import NAMINGS, new_names

SPATIAL = UNetConfig()
FILE = "diffusion_pytorch_model.safetensors"
NETWORKS: list[tuple[str, Callable[[], nn.Module]]] = [
    ("aa_denoising_unet_full_runtime", lambda: UNet(ANIMATE_ANYONE_UNET)),
    ("aa_denoising_unet.pth", lambda: UNet(SPATIAL)),
    ("sd15_unet_diffusers", lambda: UNet(SPATIAL)),
    ("aa_reference_unet.pth", lambda: ReferenceNet(SPATIAL)),
    ("aa_pose_guider.pth", lambda: PoseGuider(320)),
    ("ma_unet3d_full_runtime", lambda: UNet(MAGIC_ANIMATE_UNET)),
    ("ma_appearance_encoder", lambda: ReferenceNet(SPATIAL)),
    ("ma_densepose_controlnet", lambda: ControlNet(SPATIAL)),
    ("cinemo_unet", lambda: MotionUNet(CINEMO_UNET)),
]


@pytest.mark.parametrize(("file", "build"), NETWORKS, ids=[file for file, _ in NETWORKS])
def test_a_network_is_what_its_published_file_holds(
    manifests: Path, file: str, build: Callable[[], nn.Module]
) -> None:
    with torch.device("meta"):
        own = {key: list(value.shape) for key, value in build().state_dict().items()}
    published = shapes_in(manifests / f"{file}.json")
    if file == "aa_reference_unet.pth":  # its last layers are published, and useless
        unused = unused_keys(SPATIAL)
        published = {k: v for k, v in published.items() if not k.startswith(unused)}
    # The frequencies of angles are published as if they were learned, and not stored here.
    published = {k: v for k, v in published.items() if not k.endswith("rotary_emb.freqs")}
    assert own == published


@pytest.mark.parametrize(
    ("file", "config"),
    [
        ("aa_motion_module.pth", ANIMATE_ANYONE_UNET),
        ("ma_temporal_attention.ckpt", MAGIC_ANIMATE_UNET),
    ],
)
def test_the_motion_modules_are_what_their_published_file_holds(
    manifests: Path, file: str, config: UNetConfig
) -> None:
    with torch.device("meta"):
        state = UNet(config).state_dict()
    own = {k: list(v.shape) for k, v in state.items() if "motion_modules" in k}
    assert own == shapes_in(manifests / f"{file}.json")


@pytest.mark.parametrize(
    ("entry", "file", "manifest"),
    [
        ("animate-anyone", "denoising_unet.safetensors", "aa_denoising_unet.pth"),
        ("animate-anyone", "reference_unet.safetensors", "aa_reference_unet.pth"),
        ("animate-anyone", "motion_module.safetensors", "aa_motion_module.pth"),
        ("animate-anyone", "pose_guider.safetensors", "aa_pose_guider.pth"),
        ("magic-animate", f"appearance_encoder/{FILE}", "ma_appearance_encoder"),
        ("magic-animate", f"densepose_controlnet/{FILE}", "ma_densepose_controlnet"),
        (
            "magic-animate", "temporal_attention.safetensors", "ma_temporal_attention.ckpt"
        ),
        ("cinemo", f"unet/{FILE}", "cinemo_unet"),
        ("cinemo", f"vae/{FILE}", "sd_vae_ft_mse"),
    ],
)  # fmt: skip
def test_an_import_wants_what_is_published(
    manifests: Path, configs: dict[str, Path], entry: str, file: str, manifest: str
) -> None:
    naming = next(x for x in load_catalog()[entry].files if x.name == file).naming
    published = shapes_in(manifests / f"{manifest}.json")
    assert naming is not None
    names = new_names(Path(manifest), published, NAMINGS[naming])
    kept = {new: tuple(published[old]) for new, old in names.items()}
    assert kept == expected_shapes(entry, configs)[file]


def test_a_reference_network_trained_without_its_last_layers_is_wanted_as_well() -> None:
    with torch.device("meta"):
        trained = {k: tuple(v.shape) for k, v in ReferenceNet(SPATIAL).state_dict().items()}
    names = new_names(Path("file"), trained, NAMINGS["reference"])
    wanted = expected_shapes("animate-anyone", {})["reference_unet.safetensors"]
    assert {new: trained[old] for new, old in names.items()} == wanted


def test_all_tensors_of_no_known_digest_are_expected(configs: dict[str, Path]) -> None:
    """But OpenPose's, whose networks come with a package that may not be here."""
    for name, entry in load_catalog().items():
        unknown = {x.name for x in entry.files if x.naming and x.sha256 is None}
        expected = {*expected_shapes(name, configs), *expected_tensors(name)}
        assert unknown <= expected or name == "openpose", name


def test_a_configuration_that_a_library_refuses_without_a_word_is_named(
    configs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(config: object) -> NoReturn:
        raise ValueError

    file = "image_encoder/model.safetensors"
    monkeypatch.setitem(CONFIGURED, "ip-adapter", {file: refuse})  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match=r"describes no network for .*: ValueError"):
        expected_shapes("ip-adapter", configs)


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Configurations of the published networks that libraries build."""
    blocks = {"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2}
    down, up = ["DownEncoderBlock2D"] * 4, ["UpDecoderBlock2D"] * 4
    folder, paths = tmp_path_factory.mktemp("configs"), {}
    for place, config in {
        "": {"cross_attention_dim": 768},
        "vae/": {**blocks, "down_block_types": down, "up_block_types": up},
        "vae_temporal_decoder/": {**blocks, "down_block_types": down},
        "text_encoder/": {},
        "image_encoder/": {},
    }.items():
        name = f"{place}config.json"
        paths[name] = folder / name.replace("/", "-")
        paths[name].write_text(json.dumps(config))
    return paths


def shapes_in(manifest: Path) -> dict[str, list[int]]:
    """Key -> shape, from a listing of a published file."""
    listing = json.loads(manifest.read_text())
    keys = listing.get("keys", listing)
    return {key: shape for key, (shape, _) in keys.items()}
