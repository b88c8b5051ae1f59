"""Cinemo's weights come as a pickle of the network, or as that of a training run."""

from pathlib import Path

import pytest
import torch
from builders.weights import pickled, tensors
from safetensors.torch import load_file

from animcli.errors import WeightsError
from animcli.weights.catalog import load_catalog
from animcli.weights.convert import NAMINGS, to_safetensors
from animcli.weights.inspect import match_files

CINEMO = load_catalog()["cinemo"]
UNET = "unet/diffusion_pytorch_model.safetensors"
NAMES = ("conv_in.weight", "mid_block.attentions.0.norm.weight")
TURNED = "mid_block.attentions.0.transformer_blocks.0.attn_temp.rotary_emb.freqs"


@pytest.mark.parametrize("wrapping", [("ema", "model"), ("model",), ()])
def test_the_averaged_weights_are_taken_where_there_are_any(
    tmp_path: Path, wrapping: tuple[str, ...]
) -> None:
    best, other = tensors(*NAMES), {name: torch.zeros(2, 3) for name in NAMES}
    held = {f"module.{name}": x for name, x in best.items()} | {TURNED: torch.ones(16)}
    content: dict[str, object] = dict(held)
    if wrapping:
        content = dict.fromkeys(wrapping, other) | {wrapping[0]: held}
    target = tmp_path / "unet.safetensors"
    to_safetensors(
        pickled(tmp_path / "cinemo.pt", content),
        target,
        NAMINGS["cinemo"],
        dict.fromkeys(NAMES, (2, 3)),
    )
    found = load_file(target)
    assert found.keys() == best.keys()
    assert all(torch.equal(found[name], best[name]) for name in best)


def test_a_tensor_too_few_is_named(tmp_path: Path) -> None:
    source = pickled(tmp_path / "cinemo.pt", tensors(NAMES[0]))
    expected = dict.fromkeys(NAMES, (2, 3))
    with pytest.raises(WeightsError, match=r"1 missing \(first: mid_block"):
        to_safetensors(source, tmp_path / "a.safetensors", NAMINGS["cinemo"], expected)


def test_the_training_file_is_known_when_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "cinemo.pt"
    path.touch()
    assert match_files(CINEMO, [path]) == {UNET: path}


def test_a_copy_of_the_repository_holds_it_too_and_is_still_unmistakable(
    tmp_path: Path,
) -> None:
    published = [file.path for file in CINEMO.files]
    for name in [*published, "cinemo.pt", "model_index.json"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "scheduler/scheduler_config.json").touch()
    found = match_files(CINEMO, [tmp_path])
    assert found == {file.name: tmp_path / file.path for file in CINEMO.files}
