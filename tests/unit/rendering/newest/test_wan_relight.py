"""The relighting LoRA of Wan-Animate, in the authors' names."""

from pathlib import Path

import pytest
import torch
from builders.tiny_wan import write_tiny_wan
from safetensors.torch import save_file

from animcli.errors import DeviceError
from animcli.rendering.newest import wan_parts
from animcli.rendering.newest.wan_animate import add_lora
from animcli.rendering.newest.wan_parts import library_class, open_part

NAME = "blocks.1.attn1.to_q.weight"
THEIRS = "diffusion_model.blocks.1.self_attn.q"


@pytest.fixture
def network(tmp_path: Path) -> torch.nn.Module:
    kind = library_class(
        "diffusers.models.transformers.transformer_wan_animate",
        "WanAnimateTransformer3DModel",
    )
    folder = write_tiny_wan(tmp_path)["wan-animate"]
    opened: torch.nn.Module = open_part(
        kind, folder, "transformer", torch.float32, torch.device("cpu")
    )
    return opened


@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_its_product_is_added_to_the_weights_by_its_share(
    network: torch.nn.Module, tmp_path: Path, scale: float
) -> None:
    pytest.importorskip("peft", reason="diffusers joins LoRAs with it")
    before = {name: x.clone() for name, x in network.state_dict().items()}
    down, up = torch.randn(2, 24) / 5, torch.randn(24, 2) / 5
    save_file(
        {f"{THEIRS}.lora_A.weight": down, f"{THEIRS}.lora_B.weight": up},
        tmp_path / "relighting_lora.safetensors",
    )
    add_lora(network, tmp_path, scale)
    after = network.state_dict()
    assert after.keys() == before.keys()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed == {NAME}
    torch.testing.assert_close(after[NAME], before[NAME] + scale * up @ down)


def test_without_peft_it_is_said_what_to_install(
    network: torch.nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wan_parts, "find_spec", lambda name: None)
    with pytest.raises(DeviceError) as refused:
        add_lora(network, tmp_path, 1.0)
    assert refused.value.hint == "pip install peft"
