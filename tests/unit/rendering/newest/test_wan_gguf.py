"""Wan-Animate's large network out of a GGUF file, in the authors' names."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.tiny_wan import write_tiny_wan
from safetensors.torch import load_file

from animcli.errors import WeightsError
from animcli.rendering.newest.wan_parts import open_transformer

gguf = pytest.importorskip("gguf", reason="diffusers reads such files with it")

KIND = (
    "diffusers.models.transformers.transformer_wan_animate",
    "WanAnimateTransformer3DModel",
)
CPU = torch.device("cpu")
THEIRS = (
    (r"^condition_embedder\.time_embedder\.linear_1", "time_embedding.0"),
    (r"^condition_embedder\.time_embedder\.linear_2", "time_embedding.2"),
    (r"^condition_embedder\.text_embedder\.linear_1", "text_embedding.0"),
    (r"^condition_embedder\.text_embedder\.linear_2", "text_embedding.2"),
    (r"^condition_embedder\.time_proj", "time_projection.1"),
    (r"^condition_embedder\.image_embedder\.norm1", "img_emb.proj.0"),
    (r"^condition_embedder\.image_embedder\.ff\.net\.0\.proj", "img_emb.proj.1"),
    (r"^condition_embedder\.image_embedder\.ff\.net\.2", "img_emb.proj.3"),
    (r"^condition_embedder\.image_embedder\.norm2", "img_emb.proj.4"),
    (r"^scale_shift_table", "head.modulation"),
    (r"^proj_out", "head.head"),
    (r"(blocks\.\d+)\.scale_shift_table", r"\1.modulation"),
    (r"(blocks\.\d+)\.ffn\.net\.0\.proj", r"\1.ffn.0"),
    (r"(blocks\.\d+)\.ffn\.net\.2", r"\1.ffn.2"),
    (r"(blocks\.\d+)\.norm2", r"\1.norm3"),
    (r"(blocks\.\d+)\.attn1", r"\1.self_attn"),
    (r"(blocks\.\d+)\.attn2", r"\1.cross_attn"),
    (r"(_attn)\.to_out\.0", r"\1.o"),
    (r"(_attn)\.to_([qkv])\b", r"\1.\2"),
    (r"(_attn)\.add_([kv])_proj", r"\1.\2_img"),
    (r"(_attn)\.norm_added_k", r"\1.norm_k_img"),
)


def their_name(name: str) -> str:
    """A name of diffusers as the authors' file has it."""
    if name.startswith(("face_adapter", "motion_encoder", "face_encoder")):
        return name
    for ours, theirs in THEIRS:
        name = re.sub(ours, theirs, name)
    return name


def write_gguf(folder: Path, weights: dict[str, torch.Tensor]) -> Path:
    """The weights with those of the blocks' linear layers in 8 bits, 32 to a scale."""
    folder.mkdir()
    writer = gguf.GGUFWriter(folder / "tiny-Q8_0.gguf", "wan")
    for name, x in weights.items():
        values = x.numpy().astype(np.float32)
        kind = gguf.GGMLQuantizationType.F32
        if re.match(r"blocks\.\d+\.ffn.*weight", name) and values.shape[-1] % 32 == 0:
            kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(
            their_name(name), gguf.quants.quantize(values, kind), raw_dtype=kind
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder


def test_its_network_is_that_of_the_folder_but_for_the_bits(tmp_path: Path) -> None:
    folder = write_tiny_wan(tmp_path)["wan-animate"]
    (file,) = (folder / "transformer").glob("*.safetensors")
    weights = load_file(file)
    held = write_gguf(tmp_path / "gguf", weights)
    opened = open_transformer(KIND, folder, held, "gguf", torch.float32, CPU)
    usual = open_transformer(KIND, folder, None, "none", torch.float32, CPU)
    found, expected = opened.state_dict(), usual.state_dict()
    assert found.keys() == expected.keys()
    whole = [name for name, x in found.items() if x.dtype != torch.uint8]
    assert len(whole) > 100
    assert [name for name in whole if not torch.equal(found[name], expected[name])] == []
    x = torch.randn(3, 32)
    narrow, wide = (each.blocks[0].ffn.net[2] for each in (opened, usual))
    assert narrow.weight.dtype == torch.uint8
    far = (narrow(x) - wide(x)).norm() / wide(x).norm()
    assert 0 < far < 0.02


def test_several_files_are_refused(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).touch()
    with pytest.raises(WeightsError, match=r"holds 2 \.gguf files"):
        open_transformer(KIND, tmp_path, tmp_path, "gguf", torch.float32, CPU)
