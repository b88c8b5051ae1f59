"""Take the small part of the golden sets that is kept here out of the whole ones.

    python tests/parity/take_subset.py

reads what `ANIM_GOLDENS` points to; see README.md.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from builders.cinemo_set import drawn
from builders.golden_set import GOLDENS, HERE
from safetensors.torch import load_file, save_file
from torch import Tensor

ALL = ("*",)
KEPT: Mapping[str, Mapping[str, Sequence[str]]] = {
    "animate_anyone": {
        "aa_a_pose_guider": ALL,
        "aa_b_motion_module": ALL,
        # What the whole UNet says at the usual size is in the next two as well.
        "aa_c_unet3d": ("odd_*", "in_ehs", "in_timestep"),
        "aa_d_reference_write_read": ALL,
        "aa_e_pipeline_short6": ALL,
        "aa_f_scheduler": ALL,
        "aa_h_interpolate_latents": ALL,
    },
    "magic_animate": {
        "ma_c_controlnet": ALL,
        "ma_d_motion_module": ALL,
        "ma_e_scheduler": ALL,
    },
    "cinemo": {
        "unet": ("B.in.*", "B.out.*", "B.tap.*_embedding", "B.tap.*samplers.0"),
        "temporal_attention": ALL,
        "transformer3d": ALL,
        "resnet3d": ALL,
        "sampling_loop": ALL,
        "ddim_inversion": ALL,
        "train_step": ALL,
        "preprocess": ALL,
        "ssim_reference": ALL,
    },
}
"""System -> case -> the tensors of it that are kept."""

LARGEST = 3_000_000  # bytes, of all that is kept


def main() -> None:
    for system, cases in KEPT.items():
        source, target = GOLDENS / system, HERE / system
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        index = json.loads((source / "index.json").read_text())
        key = "files" if "files" in index else "cases"
        index.pop("sha256", None)  # of the whole files
        entries = {name: index[key][name] for name in cases}
        for name, entry in entries.items():
            tensors = load_file(source / entry["file"])
            if any(tensor.startswith("sd.") for tensor in tensors):
                entry["weights"] = recipe(tensors)
            kept = {k: v for k, v in tensors.items() if is_kept(k, cases[name])}
            save_file(kept, target / entry["file"])
            entry["tensors"] = {k: v for k, v in entry["tensors"].items() if k in kept}
            if isinstance(entry["config"], dict):
                entry["config"].pop("context_table", None)  # as long as the rest
        text = json.dumps({**index, key: entries}, separators=(",", ":"))
        (target / "index.json").write_text(text + "\n")
        for path in [*source.glob("*_config.json"), *source.glob("context_windows.json")]:
            compact = json.dumps(json.loads(path.read_text()), separators=(",", ":"))
            (target / path.name).write_text(compact + "\n")
    size = sum(path.stat().st_size for path in HERE.rglob("*") if path.is_file())
    if size > LARGEST:
        raise SystemExit(f"{size:,} bytes are more than {LARGEST:,}")
    print(f"{size:,} bytes")  # noqa: T201


def is_kept(name: str, patterns: Sequence[str]) -> bool:
    weight = name.startswith(("weights/", "sd."))
    return not weight and any(fnmatchcase(name, pattern) for pattern in patterns)


def recipe(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Which seed gives a case's weights, drawn one after another, and in what order.

    The whole set doesn't say it. It is found by drawing: only the right next weight comes
    out to the last bit.
    """
    left = {
        name.removeprefix("sd."): tensor
        for name, tensor in tensors.items()
        if name.startswith("sd.") and not name.endswith("rotary_emb.freqs")
    }
    for seed in range(100):
        random = torch.Generator().manual_seed(seed)
        shapes = {}
        while found := next_drawn(left, shapes, random):
            shapes[found] = list(left[found].shape)
        if len(shapes) == len(left):
            return {"seed": seed, "shapes": shapes}
    raise SystemExit("no seed gives the weights of a case")


def next_drawn(
    left: Mapping[str, Tensor], drawn_already: Mapping[str, object], random: torch.Generator
) -> str | None:
    """The weight that comes next out of `random`; None if none does."""
    before = random.get_state()
    for name, tensor in left.items():
        if name not in drawn_already:
            random.set_state(before)
            if torch.equal(drawn(name, tensor.shape, random), tensor):
                return name
    return None


if __name__ == "__main__":
    main()
