"""What the models' cards promise."""

from pathlib import Path

import torch
from safetensors import safe_open

from animcli.networks.autoencoder import Autoencoder
from animcli.networks.mini import MiniModel
from animcli.rendering.mini import Mini
from animcli.training.settings import read_settings
from animcli.weights.store import WeightsStore

MODELS = Path(__file__).parents[2] / "docs" / "models"


def test_the_command_that_trains_the_embedded_model_again_can_be_run() -> None:
    read_settings(MODELS / "mini.toml")
    card = (MODELS / "mini.md").read_text(encoding="utf-8")
    assert "anim train FOLDER --settings docs/models/mini.toml" in card


def test_the_embedded_weights_fit_their_networks_and_the_wheel(tmp_path: Path) -> None:
    folder = WeightsStore(tmp_path).ensure("mini")
    renderer = Mini()
    with torch.device("meta"):
        networks = {
            "model": MiniModel(renderer.model),
            "autoencoder": Autoencoder(renderer.autoencoder),
        }
    for name, network in networks.items():
        with safe_open(str(folder / f"{name}.safetensors"), framework="pt") as file:
            shapes = {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
        assert shapes == {key: list(x.shape) for key, x in network.state_dict().items()}
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 15e6
