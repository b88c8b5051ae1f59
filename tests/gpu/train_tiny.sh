#!/bin/bash
# Train `tiny` for some minutes on a CUDA device, and leave what the next session goes on from.
#
#     OUT=DIR tests/gpu/train_tiny.sh FOLDER [STAGE]
#
# FOLDER: of the run, as `anim train` has it; parts of a checkpoint in FOLDER/STAGE are put
# together first. STAGE: autoencoder, 1 or 2. OUT gets the checkpoint in parts of 15 MiB, its
# tensors in half precision, the curve, the sheet and the autoencoder. MINUTES (8), DEVICE
# (cuda) and SETTINGS, lines for the stage's table, change what is done.
set -euo pipefail

folder=$1 stage=${2:-1} out=${OUT:?say where to put what comes back}
python=${PYTHON:-python}
home=$folder/$stage
mkdir -p "$home" "$out"
if compgen -G "$home/checkpoint.part-*" > /dev/null; then
    cat "$home"/checkpoint.part-* > "$home/checkpoint.pt"
fi

cat > "$folder/train.toml" <<TOML
[model]
device = "${DEVICE:-cuda}"

[$stage]
minutes = ${MINUTES:-8}
bfloat16 = true
workers = $(nproc)
${SETTINGS:-}
TOML
"$python" -m animcli train "$folder" --settings "$folder/train.toml" --stage "$stage"

"$python" - "$home/checkpoint.pt" "$home/half.pt" <<'PYTHON'
import sys

import torch


def half(value: object) -> object:
    """The same, with float32 tensors as bfloat16: a second moment leaves float16's range."""
    if isinstance(value, dict):
        return {key: half(item) for key, item in value.items()}
    if isinstance(value, list):
        return [half(item) for item in value]
    if isinstance(value, torch.Tensor) and value.dtype == torch.float32 and value.ndim:
        return value.bfloat16()
    return value


state = torch.load(sys.argv[1], map_location="cpu", weights_only=True)
for name in ("model", "ema"):  # weights are worth a finer half
    state[name] = {
        key: value.half() if value.dtype == torch.float32 else value
        for key, value in (state[name] or {}).items()
    } or None
state["optimizer"] = half(state["optimizer"])
torch.save(state, sys.argv[2])
print("updates", state["step"])
PYTHON
split --bytes 15M --numeric-suffixes "$home/half.pt" "$out/checkpoint.part-"
for file in "$home"/curve.jsonl "$home"/sheet.png "$folder"/vae/*.safetensors; do
    if [ -f "$file" ]; then cp "$file" "$out/"; fi
done
