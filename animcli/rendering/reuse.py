"""Reuse between denoising steps of what changes little, in exchange for a little likeness.

Neighbouring steps agree in the deep layers of the UNet: these are worked out in every few
steps, and only the layers at the full size in the others. Source: Ma et al., "DeepCache",
arXiv:2312.00858, section 3.2. They agree, too, in how far the prediction without the
condition is from that with it; so the former needn't be made in every step. Source: Lv et
al., "FasterCache", arXiv:2410.19355, section 3.3. Differs: the whole difference is taken
over, not parts of its spectrum with weights of their own.

A stopped render goes on with the same bits: the latents that the steps in question saw are
kept, and those are predicted again.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from animcli.errors import PresetError
from animcli.networks.unet_blocks import Deep, UNetConfig
from animcli.presets import Preset
from animcli.rendering.context import ContextWindow, WindowsFn
from animcli.rendering.guidance import Guidance, Half

if TYPE_CHECKING:  # which knows this module
    from animcli.rendering.pipeline import PredictAll

SEEN: Final = "seen."
"""Before the number of a step, in a checkpoint: the latents that the network saw there."""


@dataclass(frozen=True)
class Reuse:
    """Intervals at which steps are worked out anew.

    interval: steps from one full pass through the network to the next; 1 is always.
    branch: the last skip tensor of the shallow part, see `Deep`.
    unconditional: steps from one prediction without the condition to the next; a multiple
        of `interval`, or 1.
    begin, guided: the first step, and the first with guidance; both work out everything.
    """

    interval: int = 1
    branch: int = 0
    unconditional: int = 1
    begin: int = 0
    guided: int = 0

    @classmethod
    def of(cls, preset: Preset, config: UNetConfig, begin: int = 0) -> "Reuse":
        """Reuse that a preset asks for.

        Raises PresetError for a branch that the network doesn't have.
        """
        skips = len(config.block_channels) * (config.layers_per_block + 1)
        if preset.deep_branch >= skips:
            raise PresetError(
                f"deep_branch {preset.deep_branch}: the network of {preset.renderer} has "
                f"branches 0 to {skips - 1}"
            )
        guidance, steps = Guidance.of(preset), preset.steps
        guided = (step for step in range(begin, steps) if guidance.works_at(step, steps))
        return cls(
            preset.deep_interval,
            preset.deep_branch,
            preset.guidance_interval,
            begin,
            next(guided, begin),
        )

    @property
    def is_on(self) -> bool:
        """True if any step reuses anything."""
        return self.interval > 1 or self.unconditional > 1

    def is_fresh(self, step: int) -> bool:
        """True if a step goes through the whole network."""
        return step in (self.begin, self.guided) or step % self.interval == 0

    def predicts_both(self, step: int) -> bool:
        """True if a step with guidance makes both of its predictions."""
        return step in (self.begin, self.guided) or step % self.unconditional == 0

    def sources(self, step: int) -> list[int]:
        """The earlier steps, in order, of which `step` reuses something."""
        fresh = next(s for s in range(step, self.begin - 1, -1) if self.is_fresh(s))
        both = next(s for s in range(step, self.begin - 1, -1) if self.predicts_both(s))
        return sorted({fresh, both} - {step})

    def cut(self, cut: WindowsFn) -> WindowsFn:
        """Windows that stay the same as long as anything of them is reused."""
        if not self.is_on:
            return cut
        return lambda step: cut(min([step, *self.sources(step)]))


NO_REUSE: Final = Reuse()
"""Every step by itself."""


@dataclass
class StepCache:
    """Features that one step of a render leaves for those after it.

    deep: features by frames of the window and half of guidance.
    gaps: the prediction with the condition less that without it, by frames of the window.
    """

    reuse: Reuse = NO_REUSE
    deep: dict[tuple[tuple[int, ...], Half], Tensor] = field(default_factory=dict)
    gaps: dict[tuple[int, ...], Tensor] = field(default_factory=dict)
    _fresh: int = -1
    _both: int = -1

    def through(
        self,
        step: int,
        window: ContextWindow,
        halves: Sequence[Half],
        call: Callable[[Deep | None], Tensor],
    ) -> Tensor:
        """Answer of a call of the network for rows that are these halves of guidance."""
        if self.reuse.interval == 1:
            return call(None)
        if self.reuse.is_fresh(step) and step != self._fresh:
            self.deep.clear()
            self._fresh = step
        keys = [(window.frames, half) for half in halves]
        found = [self.deep[key] for key in keys if key in self.deep]
        known = not self.reuse.is_fresh(step) and len(found) == len(keys)
        deep = Deep(self.reuse.branch, torch.cat(found) if known else None)
        answer = call(deep)
        if not known and deep.features is not None:
            self.deep.update(zip(keys, deep.features.chunk(len(keys)), strict=True))
        return answer

    def gap(self, step: int, window: ContextWindow) -> Tensor | None:
        """Difference of the halves of guidance, where a step is to reuse that."""
        if self.reuse.predicts_both(step) and step != self._both:
            self.gaps.clear()
            self._both = step
        return None if self.reuse.predicts_both(step) else self.gaps.get(window.frames)


class Sources:
    """Predicts all windows of a step, and keeps the latents that later steps go back to."""

    def __init__(self, reuse: Reuse, predict_all: "PredictAll") -> None:
        self._reuse = reuse
        self._predict_all = predict_all
        self._seen: dict[int, Tensor] = {}

    def __call__(
        self, step: int, seen: Tensor, windows: Sequence[ContextWindow]
    ) -> Iterable[Tensor]:
        """As `PredictAll` says."""
        if self._reuse.is_fresh(step):
            self._seen[step] = seen
        return self._predict_all(step, seen, windows)

    def memory(self, step: int) -> dict[str, NDArray[np.generic]]:
        """Arrays that a render going on at `step` needs besides its latents, by name."""
        wanted = self._reuse.sources(step)
        self._seen = {each: self._seen[each] for each in wanted}
        return {f"{SEEN}{each}": seen.cpu().numpy() for each, seen in self._seen.items()}

    def recall(
        self,
        arrays: Mapping[str, NDArray[np.generic]],
        step: int,
        cut: WindowsFn,
        device: torch.device,
    ) -> None:
        """Predict again, from what `memory` gave, what a render reuses at `step`."""
        for each in self._reuse.sources(step):
            seen = torch.from_numpy(np.asarray(arrays[f"{SEEN}{each}"])).to(device)
            for _ in self(each, seen, cut(each)):
                pass
