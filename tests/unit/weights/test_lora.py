"""LoRA files in both namings change the networks as merging by hand does."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from builders import tiny_renders
from builders.tiny_networks import TINY, write_tiny_magic_weights, write_tiny_weights
from safetensors.torch import load_file, save_file
from torch import Tensor

from animcli.errors import WeightsError
from animcli.networks.unet import UNet
from animcli.presets import Preset, read_loras
from animcli.rendering.loading import load_network, load_text_encoder
from animcli.weights.lora import METADATA, Lora, changes_for, place_of

RANK, ALPHA = 2, 3.0
CPU = torch.device("cpu")
LINEAR = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
POINTWISE = "down_blocks.0.attentions.0.proj_in"
CONVOLUTION = "up_blocks.0.resnets.0.conv1"
OUT = "mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0"
LAYERS = (LINEAR, POINTWISE, CONVOLUTION, OUT)

Factors = Mapping[str, tuple[Tensor, Tensor]]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_tiny_weights(tmp_path_factory.mktemp("weights"))


def stored(weights: Mapping[str, Path]) -> dict[str, Tensor]:
    return load_file(weights["animate-anyone"] / "denoising_unet.safetensors")


def factors(state: Mapping[str, Tensor], layers: tuple[str, ...] = LAYERS) -> Factors:
    """Random factors for layers of a network."""
    rng = torch.Generator().manual_seed(5)
    found = {}
    for layer in layers:
        out, *rest = state[f"{layer}.weight"].shape
        one = [1] * (len(rest) - 1)
        found[layer] = (
            torch.randn(RANK, *rest, generator=rng),
            torch.randn(out, RANK, *one, generator=rng),
        )
    return found


def kohya(found: Factors, prefix: str = "lora_unet_") -> dict[str, Tensor]:
    tensors = {}
    for layer, (down, up) in found.items():
        name = prefix + layer.replace(".", "_")
        tensors |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
        tensors[f"{name}.alpha"] = torch.tensor(ALPHA)
    return tensors


def peft(found: Factors, prefix: str = "unet.") -> dict[str, Tensor]:
    tensors = {}
    for layer, (down, up) in found.items():
        tensors[f"{prefix}{layer}.lora_A.weight"] = down
        tensors[f"{prefix}{layer}.lora_B.weight"] = up
    return tensors


def by_hand(state: Mapping[str, Tensor], found: Factors, scale: float) -> dict[str, Tensor]:
    """Weights with scale * up * down added, in the one way that rounds as a merge does."""
    merged = dict(state)
    for layer, (down, up) in found.items():
        name = f"{layer}.weight"
        product = scale * (up.flatten(1) @ down.flatten(1))
        merged[name] = state[name] + product.reshape(state[name].shape)
    return merged


def loaded(weights: Mapping[str, Path], *loras: Lora, dtype: torch.dtype = torch.float32):  # noqa: ANN201
    folder = weights["animate-anyone"]
    files = {
        "motion_modules": folder / "motion_module.safetensors",
        "": folder / "denoising_unet.safetensors",
    }
    return load_network(
        lambda: UNet(TINY.unet), files, CPU, dtype, loras=loras
    ).state_dict()


@pytest.mark.parametrize("naming", ["kohya", "diffusers", "old diffusers", "metadata"])
def test_each_naming_is_merged_exactly(
    weights: dict[str, Path], tmp_path: Path, naming: str
) -> None:
    state = stored(weights)
    found, metadata, scale = factors(state), None, 0.8
    if naming == "kohya":
        tensors, scale = kohya(found), 0.8 * ALPHA / RANK
    elif naming == "old diffusers":
        tensors = {}
        for layer, (down, up) in found.items():
            at = layer.removesuffix(".0") if layer == OUT else layer
            head, _, last = at.rpartition(".")
            name = f"unet.{head}.processor.{last}_lora"
            if layer in (POINTWISE, CONVOLUTION):
                name = f"unet.{layer}.lora"
            tensors |= {f"{name}.down.weight": down, f"{name}.up.weight": up}
    else:
        tensors = peft(found)
    if naming == "metadata":
        metadata = {METADATA: json.dumps({"unet.lora_alpha": ALPHA, "unet.r": RANK})}
        scale = 0.8 * ALPHA / RANK
    file = tmp_path / "style.safetensors"
    save_file(tensors, file, metadata=metadata)
    expected = by_hand(state, found, scale)
    merged = loaded(weights, Lora(file, 0.8))
    plain = loaded(weights)
    for name, tensor in merged.items():
        assert torch.equal(tensor, expected.get(name, plain[name])), name
    assert all(
        not torch.equal(merged[f"{layer}.weight"], plain[f"{layer}.weight"])
        for layer in LAYERS
    )


def test_half_precision_rounds_once_after_the_merge(
    weights: dict[str, Path], tmp_path: Path
) -> None:
    state = stored(weights)
    save_file(kohya(factors(state)), tmp_path / "a.safetensors")
    expected = by_hand(state, factors(state), ALPHA / RANK)
    merged = loaded(weights, Lora(tmp_path / "a.safetensors"), dtype=torch.bfloat16)
    for layer in LAYERS:
        name = f"{layer}.weight"
        assert torch.equal(merged[name], expected[name].bfloat16())


def test_several_add_up_and_opposites_cancel(
    weights: dict[str, Path], tmp_path: Path
) -> None:
    state = stored(weights)
    file, other = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_file(kohya(factors(state)), file)
    save_file(peft(factors(state, (LINEAR,))), other)
    both = loaded(weights, Lora(file), Lora(other, 0.5))
    first = by_hand(state, factors(state), ALPHA / RANK)
    expected = by_hand(first, factors(state, (LINEAR,)), 0.5)
    assert torch.equal(both[f"{LINEAR}.weight"], expected[f"{LINEAR}.weight"])
    nothing = loaded(weights, Lora(file, 1.0), Lora(file, -1.0))
    torch.testing.assert_close(nothing, loaded(weights), rtol=0, atol=2e-6)


def test_motion_modules_take_diffusers_names_for_them(
    weights: dict[str, Path], tmp_path: Path
) -> None:
    block = "down_blocks.0.motion_modules.0.transformer_blocks.0.attn2.to_k"
    here = (
        "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0."
        "attention_blocks.1.to_k.weight"
    )
    shape = loaded(weights)[here].shape
    down, up = torch.ones(RANK, shape[1]), torch.ones(shape[0], RANK)
    save_file(peft({block: (down, up)}), tmp_path / "motion.safetensors")
    merged = loaded(weights, Lora(tmp_path / "motion.safetensors"))
    assert torch.equal(merged[here], loaded(weights)[here] + RANK)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"unet.nowhere.to_q.lora_A.weight": (2, 16),
          "unet.nowhere.to_q.lora_B.weight": (16, 2)},
         r"1 unknown layers \(first: nowhere.to_q\)"),
        ({f"unet.{LINEAR}.lora_A.weight": (2, 15),
          f"unet.{LINEAR}.lora_B.weight": (16, 2)},
         r"1 of another shape \(first: down_blocks.0.*is 16 by 15, expected \(16, 16\)"),
        ({f"unet.{LINEAR}.lora_A.weight": (2, 16)}, "1 of 1 tensors aren't those of a"),
        ({"lora_unet_mid_block.hada_w1_a": (2, 2)}, "first: lora_unet_mid_block.hada"),
        ({"lora_te2_layer.lora_down.weight": (2, 2)}, "1 of 1 tensors aren't"),
    ],
)  # fmt: skip
def test_a_file_for_another_network_is_refused_with_its_first_names(
    weights: dict[str, Path],
    tmp_path: Path,
    change: dict[str, tuple[int, ...]],
    said: str,
) -> None:
    file = tmp_path / "odd.safetensors"
    save_file({name: torch.zeros(shape) for name, shape in change.items()}, file)
    with pytest.raises(WeightsError, match=said) as caught:
        loaded(weights, Lora(file))
    assert str(file) in str(caught.value)


def test_a_pickle_is_refused_as_no_safetensors_file(
    weights: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "old.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(WeightsError, match=r"old\.pt is"):
        loaded(weights, Lora(tmp_path / "old.pt"))


def test_the_text_encoder_takes_its_part_in_both_namings(tmp_path: Path) -> None:
    folder = write_tiny_magic_weights(tmp_path)["sd15"] / "text_encoder"
    state = load_file(folder / "model.safetensors")
    layer = "text_model.encoder.layers.0.self_attn.q_proj"
    found = factors(state, (layer,))
    for number, tensors in enumerate(
        (kohya(found, "lora_te_"), peft(found, "text_encoder."))
    ):
        file = tmp_path / f"{number}.safetensors"
        save_file(tensors, file)
        scale = ALPHA / RANK if number == 0 else 1.0
        expected = by_hand(state, found, scale)[f"{layer}.weight"]
        network = load_text_encoder(folder, CPU, torch.float32, [Lora(file)])
        (merged,) = (
            x for name, x in network.state_dict().items() if name.endswith("q_proj.weight")
        )
        assert torch.equal(merged, expected)
        assert not changes_for([Lora(file)], "unet", {"x": (1,)})


@pytest.mark.filterwarnings("ignore:__array__ implement:DeprecationWarning")
def test_animate_anyone_renders_with_it_as_with_merged_weights(
    weights: dict[str, Path], tmp_path: Path
) -> None:
    state = stored(weights)
    save_file(kohya(factors(state)), tmp_path / "a.safetensors")
    asked = tiny_renders.request(weights, 3)
    asked = replace(asked, loras=[Lora(tmp_path / "a.safetensors", 0.5)])
    folder = tmp_path / "animate-anyone"
    folder.mkdir()
    for file in weights["animate-anyone"].iterdir():
        (folder / file.name).symlink_to(file)
    changed = folder / "denoising_unet.safetensors"
    changed.unlink()
    save_file(by_hand(state, factors(state), 0.5 * ALPHA / RANK), changed)
    merged = tiny_renders.request({**weights, "animate-anyone": folder}, 3)
    assert np.array_equal(tiny_renders.render(asked), tiny_renders.render(merged))
    plain = tiny_renders.render(tiny_renders.request(weights, 3))
    assert not np.array_equal(tiny_renders.render(asked), plain)


def test_files_and_weights_are_read_from_one_word() -> None:
    assert read_loras("a.safetensors:0.8, C:\\b.safetensors") == (
        ("a.safetensors", 0.8),
        ("C:\\b.safetensors", 1.0),
    )
    for wrong in (",", "a:11", ":0.5", "a:nan"):
        with pytest.raises(ValueError, match="lora is FILE"):
            Preset("x", renderer="cinemo", lora=wrong)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("base_model.model.a.b.lora_A.default.weight", ("unet", "a.b", "down")),
        ("a.b.lora_linear_layer.up.weight", ("unet", "a.b", "up")),
        ("unet.a.to_out.lora.down.weight", ("unet", "a.to_out.0", "down")),
        ("a.b.weight", None),
    ],
)
def test_other_spellings_are_known(name: str, place: tuple[str, ...] | None) -> None:
    assert place_of(name) == place
