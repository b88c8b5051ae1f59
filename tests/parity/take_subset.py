"""Take the small part of the golden sets that is kept here out of the whole ones.

    python tests/parity/take_subset.py

reads what `ANIM_GOLDENS` points to; see README.md.
"""

import json
import shutil

from golden_set import GOLDENS, HERE
from safetensors.torch import load_file, save_file

KEPT = {
    "animate_anyone": [
        "aa_a_pose_guider",
        "aa_b_motion_module",
        "aa_c_unet3d",
        "aa_d_reference_write_read",
        "aa_e_pipeline_short6",
        "aa_f_scheduler",
        "aa_h_interpolate_latents",
    ],
    "magic_animate": ["ma_c_controlnet", "ma_d_motion_module", "ma_e_scheduler"],
}
LARGEST = 3_000_000  # bytes, of all that is kept


def main() -> None:
    for system, names in KEPT.items():
        source, target = GOLDENS / system, HERE / system
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        index = json.loads((source / "index.json").read_text())
        files = {}
        for name in names:
            entry = index["files"][name]
            if isinstance(entry["config"], dict):
                entry["config"].pop("context_table", None)  # as long as the rest
            tensors = load_file(source / entry["file"])
            given = {k: v for k, v in tensors.items() if not k.startswith("weights/")}
            save_file(given, target / entry["file"])
            files[name] = entry
        text = json.dumps({"_about": index["_about"], "files": files}, indent=1)
        (target / "index.json").write_text(text + "\n")
        for path in [*source.glob("*_config.json"), *source.glob("context_windows.json")]:
            compact = json.dumps(json.loads(path.read_text()), separators=(",", ":"))
            (target / path.name).write_text(compact + "\n")
    size = sum(path.stat().st_size for path in HERE.rglob("*") if path.is_file())
    if size > LARGEST:
        raise SystemExit(f"{size:,} bytes are more than {LARGEST:,}")
    print(f"{size:,} bytes")  # noqa: T201


if __name__ == "__main__":
    main()
