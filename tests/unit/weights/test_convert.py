"""Every public naming of a file comes to the names that the networks use."""

import argparse
import collections
import fractions
import json
import os
import pathlib
import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.weights import pickled, safetensors, tensors
from safetensors.torch import load_file

from animcli.errors import WeightsError
from animcli.networks.reference_net import unused_keys
from animcli.networks.unet_blocks import UNetConfig
from animcli.weights.convert import NAMINGS, new_names, read_pickle, to_safetensors

BLOCK = "down_blocks.0.motion_modules.1.temporal_transformer.transformer_blocks.0."
PUBLISHED_MOTION = [
    "down_blocks.0.motion_modules.1.temporal_transformer.norm.weight",
    "down_blocks.0.motion_modules.1.temporal_transformer.proj_in.weight",
    BLOCK + "attention_blocks.0.to_q.weight",
    BLOCK + "attention_blocks.0.pos_encoder.pe",
    BLOCK + "attention_blocks.1.to_out.0.bias",
    BLOCK + "attention_blocks.1.pos_encoder.pe",
    BLOCK + "norms.0.weight",
    BLOCK + "norms.1.weight",
    BLOCK + "ff.net.0.proj.weight",
    BLOCK + "ff_norm.weight",
]
DIFFUSERS_MOTION = [
    "down_blocks.0.motion_modules.1.norm.weight",
    "down_blocks.0.motion_modules.1.proj_in.weight",
    "down_blocks.0.motion_modules.1.transformer_blocks.0.attn1.to_q.weight",
    "down_blocks.0.motion_modules.1.transformer_blocks.0.pos_embed.pe",
    "down_blocks.0.motion_modules.1.transformer_blocks.0.attn2.to_out.0.bias",
    "down_blocks.0.motion_modules.1.transformer_blocks.0.norm1.weight",
    "down_blocks.0.motion_modules.1.transformer_blocks.0.norm2.weight",
    "down_blocks.0.motion_modules.1.transformer_blocks.0.ff.net.0.proj.weight",
    "down_blocks.0.motion_modules.1.transformer_blocks.0.norm3.weight",
]


def named(names: list[str], naming: str) -> dict[str, str]:
    return new_names(Path("file"), names, NAMINGS[naming])


@pytest.mark.parametrize("prefix", ["", "module.", "unet.", "module.unet.", "net.module."])
@pytest.mark.parametrize("names", [PUBLISHED_MOTION, DIFFUSERS_MOTION])
@pytest.mark.parametrize("naming", ["motion", "motion-only"])
def test_motion_modules_of_every_naming_get_the_published_names(
    prefix: str, names: list[str], naming: str
) -> None:
    found = named([prefix + name for name in names], naming)
    assert found.keys() == set(PUBLISHED_MOTION)
    assert found[BLOCK + "norms.1.weight"].startswith(prefix)


def test_a_training_runs_other_tensors_are_left_out_of_the_motion_modules() -> None:
    names = ["module.conv_in.weight", *("module." + name for name in PUBLISHED_MOTION)]
    assert named(names, "motion-only").keys() == set(PUBLISHED_MOTION)


def test_norms_outside_of_motion_modules_keep_their_names() -> None:
    name = "down_blocks.0.attentions.0.transformer_blocks.0.norm1.weight"
    assert named([name], "motion") == {name: name}


def test_the_autoencoders_old_attention_gets_its_new_names() -> None:
    attention = "decoder.mid_block.attentions.0."
    found = named(
        [f"{attention}{part}.weight" for part in ("query", "key", "value", "proj_attn")],
        "vae",
    )
    assert list(found) == [
        f"{attention}{part}.weight" for part in ("to_q", "to_k", "to_v", "to_out.0")
    ]


@pytest.mark.parametrize(
    ("naming", "unused"),
    [
        ("clip", "vision_model.embeddings.position_ids"),
        ("cinemo", "mid_block.attentions.0.attn_temp.rotary_emb.freqs"),
    ],
)
def test_constants_are_left_out(naming: str, unused: str) -> None:
    assert named(["a.weight", unused], naming) == {"a.weight": "a.weight"}


def test_two_names_that_come_to_one_are_refused() -> None:
    with pytest.raises(WeightsError, match=r"holds both a and module\.a"):
        named(["a", "module.a"], "spatial")


MANIFESTS = [
    ("aa_denoising_unet.pth.json", "spatial"),
    ("aa_reference_unet.pth.json", "reference"),
    ("aa_motion_module.pth.json", "motion"),
    ("aa_pose_guider.pth.json", "spatial"),
    ("ma_appearance_encoder.json", "spatial"),
    ("ma_densepose_controlnet.json", "spatial"),
    ("ma_temporal_attention.ckpt.json", "motion-only"),
    ("sd15_unet_diffusers.json", "spatial"),
    ("sd_vae_ft_mse.json", "vae"),
    ("image_encoder_clip_vitl14.json", "clip"),
    ("cinemo_unet.json", "cinemo"),
]


@pytest.mark.parametrize(("manifest", "naming"), MANIFESTS)
def test_published_names_stay_as_they_are(
    manifests: Path, manifest: str, naming: str, tmp_path: Path
) -> None:
    listed = json.loads((manifests / manifest).read_text())
    names = list(listed.get("keys", listed))
    unused = unused_keys(UNetConfig()) if naming == "reference" else ()
    wanted = [
        name
        for name in names
        if not name.endswith("rotary_emb.freqs") and not name.startswith(unused)
    ]
    assert bool(unused) == (len(wanted) < len(names)) or naming == "cinemo"
    content = {name: torch.full((1,), float(i)) for i, name in enumerate(names)}
    source, target = pickled(tmp_path / "a.pth", content), tmp_path / "a.safetensors"
    to_safetensors(source, target, NAMINGS[naming], dict.fromkeys(wanted, (1,)))
    found = load_file(target)
    assert found == {name: content[name] for name in wanted}


def test_a_pickle_becomes_safetensors_with_the_same_numbers(tmp_path: Path) -> None:
    base = torch.arange(12.0)
    content = {
        "whole": base,
        "again": base,
        "part": base[3:7],
        "turned": base.reshape(3, 4).T,
        "half": base.to(torch.bfloat16),
    }
    target = tmp_path / "a.safetensors"
    to_safetensors(pickled(tmp_path / "a.pth", content), target, NAMINGS["spatial"])
    found = load_file(target)
    assert found.keys() == content.keys()
    for name, tensor in content.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)


def test_safetensors_with_the_right_names_are_left_as_they_are(tmp_path: Path) -> None:
    source, target = safetensors(tmp_path / "a.safetensors", tensors("a")), tmp_path / "b"
    assert not to_safetensors(source, target, NAMINGS["spatial"])
    assert not target.exists()


def test_motion_modules_in_a_spatial_file_are_passed_over(tmp_path: Path) -> None:
    content = tensors("conv.weight", "down_blocks.0.motion_modules.0.a.weight")
    source, target = pickled(tmp_path / "a.pth", content), tmp_path / "b"
    to_safetensors(source, target, NAMINGS["spatial-only"], {"conv.weight": (2, 3)})
    assert load_file(target).keys() == {"conv.weight"}


def test_safetensors_with_other_names_are_written_anew(tmp_path: Path) -> None:
    content = tensors("module.a")
    source, target = safetensors(tmp_path / "a.safetensors", content), tmp_path / "b"
    to_safetensors(source, target, NAMINGS["spatial"])
    torch.testing.assert_close(load_file(target)["a"], content["module.a"], rtol=0, atol=0)


def test_a_file_of_another_model_is_refused_with_the_first_names(tmp_path: Path) -> None:
    source = pickled(tmp_path / "a.pth", tensors("conv.weight", "conv.extra"))
    expected = {"conv.weight": (4, 3), "conv.bias": (4,)}
    with pytest.raises(WeightsError) as caught:
        to_safetensors(source, tmp_path / "b", NAMINGS["spatial"], expected)
    assert caught.value.message == (
        f"{source} doesn't fit: 1 missing (first: conv.bias), 1 unexpected (first: "
        "conv.extra), 1 of another shape (first: conv.weight is (2, 3), expected (4, 3))"
    )
    assert not (tmp_path / "b").exists()


def test_a_file_without_motion_modules_is_refused(tmp_path: Path) -> None:
    source = pickled(tmp_path / "a.ckpt", tensors("conv_in.weight"))
    with pytest.raises(WeightsError, match="holds no tensors of this kind"):
        to_safetensors(source, tmp_path / "b", NAMINGS["motion-only"])


def test_a_file_that_is_neither_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "a.bin"
    source.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(WeightsError, match=r"a\.bin is no file of weights"):
        to_safetensors(source, tmp_path / "b", NAMINGS["spatial"])


class Evil:
    """Unpickled by an ordinary reader, this would make a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (str(self.mark), 0o700)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_tensors_come_out_as_they_went_in(tmp_path: Path, zipped: bool) -> None:
    content = tensors("a.weight", "a.bias")
    path = tmp_path / "a.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    found = read_pickle(path)
    assert found.keys() == content.keys()
    for name, tensor in content.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda own, _: {"state_dict": own, "global_step": 7},
        lambda own, other: {"model": other, "ema": own},
        lambda own, _: collections.OrderedDict(own),
    ],
    ids=["state_dict", "ema before model", "ordered"],
)
def test_a_training_runs_wrapping_is_taken_off(tmp_path: Path, wrap: object) -> None:
    own, other = tensors("a"), tensors("b")
    assert read_pickle(pickled(tmp_path / "a.ckpt", wrap(own, other))).keys() == {"a"}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("forced", [None, "1"], ids=["", "unsafe loading forced"])
def test_code_is_refused_and_never_run(
    tmp_path: Path, zipped: bool, forced: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if forced:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", forced)
    mark, path = tmp_path / "was-run", tmp_path / "evil.pth"
    content = {**tensors("a"), "b": Evil(mark)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError) as caught:
        read_pickle(path)
    assert not mark.exists()
    assert "mkdir" in caught.value.message
    assert caught.value.exit_code == 5


def test_every_name_that_would_be_run_is_listed(tmp_path: Path) -> None:
    content = {"a": fractions.Fraction(1, 2), "b": Evil(tmp_path / "x")}
    path = pickled(tmp_path / "a.pth", content)
    with pytest.raises(WeightsError, match=r"fractions\.Fraction, (posix|nt)\.mkdir"):
        read_pickle(path)


def test_bookkeeping_of_a_training_run_is_passed_over_and_never_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    class Namespace(argparse.Namespace):
        def __setstate__(self, state: object) -> None:
            made.append("run")

    Namespace.__module__, Namespace.__qualname__ = "argparse", "Namespace"
    monkeypatch.setattr(argparse, "Namespace", Namespace)
    content = {
        "state_dict": tensors("a"),
        "hyper_parameters": argparse.Namespace(rate=1e-4),
        "optimizer_states": [{"state": {0: {"step": np.float64(3)}}}],
    }
    path = pickled(tmp_path / "a.ckpt", content)
    assert read_pickle(path).keys() == {"a"}
    assert made == []


def test_bookkeeping_that_no_published_file_needs_is_refused_by_name(
    tmp_path: Path,
) -> None:
    content = {"state_dict": tensors("a"), "best": pathlib.PurePosixPath("x")}
    path = pickled(tmp_path / "a.ckpt", content)
    with pytest.raises(WeightsError, match=r"pathlib\.PurePosixPath"):
        read_pickle(path)


def test_a_bare_pickle_of_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(pickle.dumps({"a": Evil(tmp_path / "was-run")}))
    with pytest.raises(WeightsError):
        read_pickle(path)
    assert not (tmp_path / "was-run").exists()


def test_a_small_file_that_unpacks_to_a_large_one_is_refused(tmp_path: Path) -> None:
    plain = pickled(tmp_path / "plain.pth", {"a": torch.zeros(1_000_000)})
    packed = tmp_path / "packed.pth"
    with (
        zipfile.ZipFile(plain) as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as out,
    ):
        for member in source.infolist():
            out.writestr(member.filename, source.read(member))
    with pytest.raises(WeightsError, match=r"unpacks to 4,00\d,\d+ bytes"):
        read_pickle(packed)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # of building, not reading
@pytest.mark.parametrize(
    "build",
    [
        lambda: torch.zeros(1).expand(10**11),
        lambda: torch.zeros(1).as_strided((10**6, 10**6), (0, 0)),
        lambda: torch.empty(10**11, device="meta"),
        lambda: torch.sparse_coo_tensor(size=(10**9, 10**9)),
    ],
    ids=["expanded", "strided", "meta", "sparse"],
)
def test_a_tensor_that_claims_more_than_its_data_is_refused(
    tmp_path: Path, build: Callable[[], torch.Tensor]
) -> None:
    path = pickled(tmp_path / "a.pth", {"a": build()})
    with pytest.raises(
        WeightsError, match=r"a claims [\d,]+ values that aren't in the file"
    ):
        read_pickle(path)


def test_many_views_of_one_tensor_are_refused(tmp_path: Path) -> None:
    one = torch.zeros(1000)
    path = pickled(tmp_path / "a.pth", {f"a{i}": one for i in range(1000)})
    with pytest.raises(WeightsError, match="claims 4,000,000 bytes"):
        read_pickle(path)


def test_two_names_of_one_tensor_are_fine(tmp_path: Path) -> None:
    one = torch.ones(1000)
    assert len(read_pickle(pickled(tmp_path / "a.pth", {"a": one, "b": one}))) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(1)], "holds no tensors by name, but a list"),
        ({}, "holds no tensors by name, but a dict"),
        ({"a": 1.5}, "holds a float as 'a'"),
        ({3: torch.zeros(1)}, "holds a Tensor as 3"),
    ],
)
def test_what_isnt_tensors_by_name_is_named(
    tmp_path: Path, content: object, message: str
) -> None:
    with pytest.raises(WeightsError, match=message):
        read_pickle(pickled(tmp_path / "a.pth", content))


@pytest.mark.parametrize("kept", [1, 30, 200, -30])
def test_a_cut_pickle_is_one_line_of_error(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a.pth"
    torch.save(tensors("a", "b"), path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WeightsError) as caught:
        read_pickle(path)
    assert "\n" not in caught.value.message


def test_a_flipped_bit_gives_the_tensors_or_one_error(tmp_path: Path) -> None:
    content = pickled(tmp_path / "a.pth", tensors("a", "b")).read_bytes()
    path = tmp_path / "b.pth"
    for place in range(0, len(content), 7):
        wrong = bytearray(content)
        wrong[place] ^= 0x55
        path.write_bytes(wrong)
        with suppress(WeightsError):
            assert read_pickle(path).keys() <= {"a", "b"}
