"""Words as a text encoder says them, kept so that it isn't loaded for them twice."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from animcli.errors import InputError
from animcli.pipeline.stage import RunContext, Stage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class EncodePrompt(Stage):
    """Encodes prompts with umt5-xxl, 11.4 GB for one sentence.

    entry: weights entry of a diffusers folder with `text_encoder` and `tokenizer`.
    cleaned: mend broken letters and spaces first, as Wan-Animate's authors do.
    device: kind of device, such as `cuda`. dtype: as a preset says it.
    """

    name: ClassVar[str] = "encode-prompt"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".npz"
    libraries: ClassVar[tuple[str, ...]] = ("ftfy", "tokenizers", "torch", "transformers")

    entry: str
    prompts: tuple[str, ...]
    cleaned: bool
    device: str = "cpu"
    dtype: str = "auto"

    @property
    def weights(self) -> tuple[str, ...]:
        return (self.entry,)

    def run(self, context: RunContext) -> None:
        import numpy as np

        from animcli.pipeline.checkpoint import FileCheckpoint
        from animcli.rendering.loading import open_device
        from animcli.rendering.newest.wan_parts import encode_wan_prompts, wan_dtype

        device = open_device(self.device)
        dtype = wan_dtype(device, self.dtype)
        context.progress("encoding the prompt", 0, 1)
        found = encode_wan_prompts(
            context.weights[self.entry], self.prompts, device, dtype, cleaned=self.cleaned
        )
        last = int(np.flatnonzero(found.any(axis=(0, 2)))[-1])  # the rest is zero
        FileCheckpoint(context.out).save({"words": found[:, : last + 1]})
        context.progress("encoding the prompt", 1, 1)


def read_prompts(path: Path) -> "NDArray[np.float32]":
    """Embeddings that `EncodePrompt` made, `(prompts, 512, width)` float32."""
    import numpy as np

    from animcli.pipeline.checkpoint import FileCheckpoint
    from animcli.rendering.newest.wan_parts import PROMPT_TOKENS

    kept = FileCheckpoint(path).load()
    if kept is None:
        raise InputError(f"{path} isn't an encoded prompt", "anim cache verify")
    words = kept["words"].astype(np.float32)
    return np.pad(words, ((0, 0), (0, PROMPT_TOKENS - words.shape[1]), (0, 0)))
