"""Words for Cinemo: from a prompt to what the network looks at."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from animcli.errors import UsageError
from animcli.rendering.loading import load_text_encoder

TOKENS: Final = 77
"""That CLIP reads at once, a start and an end among them."""


@torch.inference_mode()
def read_prompts(
    folder: Path, prompts: Sequence[str], device: torch.device, dtype: torch.dtype
) -> Tensor:
    """What CLIP says of prompts, (prompts, tokens, width), after its last norm.

    folder: with `tokenizer` and `text_encoder`; both are gone from memory afterwards.

    Raises UsageError for a prompt that CLIP can't read to its end.
    """
    from transformers.models.clip.tokenization_clip import CLIPTokenizer

    encoder = load_text_encoder(folder / "text_encoder", device, dtype)
    tokenizer = CLIPTokenizer.from_pretrained(
        str(folder / "tokenizer"), local_files_only=True
    )
    for prompt in prompts:
        length = len(tokenizer(prompt).input_ids)
        if length > TOKENS:
            raise UsageError(
                f"the prompt has {length - 2} tokens, CLIP reads {TOKENS - 2}: {prompt!r}",
                "say it in fewer words",
            )
    words = tokenizer(
        list(prompts), padding="max_length", max_length=TOKENS, return_tensors="pt"
    )
    return encoder(words.input_ids.to(device)).last_hidden_state
