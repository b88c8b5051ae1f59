"""Guidance: away from what the network predicts without the condition.

Source: Ho and Salimans, "Classifier-Free Diffusion Guidance", arXiv:2207.12598.
"""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from enum import Enum

from torch import Tensor

from animcli.networks.unet import Sight
from animcli.presets import PROMPTED, Preset


class Half(Enum):
    """One of the two predictions that guidance combines."""

    PLAIN = "plain"
    SHOWN = "shown"


HALF: ContextVar[Half | None] = ContextVar("half", default=None)
"""The only half that is wanted, where the other one is predicted elsewhere."""

Ask = Callable[[Tensor, Sight], Tensor]
"""(noisy clips (rows, c, f, h, w), what to look at) -> the prediction, same shape."""


@dataclass(frozen=True)
class Views:
    """What a network looks at, without the condition and with it.

    both: the two as rows of one call, faster on a GPU, in twice the memory; None where they
        are asked for one after the other.
    """

    plain: Sight
    shown: Sight
    both: Sight | None = None


@dataclass(frozen=True)
class Guidance:
    """How far to lean on the condition, and at which steps.

    scale: 1 is the conditional prediction itself; more goes beyond it.
    start, stop: fractions of the steps, between which there is guidance. Source:
        Kynkäänniemi et al., arXiv:2404.07724, who give the interval in noise levels.
    rescale: how far to bring a frame's contrast back to that of the conditional
        prediction, 0..1. Source: Lin et al., arXiv:2305.08891, section 3.4.
    """

    scale: float
    start: float = 0
    stop: float = 1
    rescale: float = 0

    @classmethod
    def of(cls, preset: Preset) -> "Guidance":
        """What a preset says about it; none where both halves would hear the same words."""
        alike = preset.renderer in PROMPTED and preset.prompt == preset.negative_prompt
        return cls(
            1 if alike else preset.guidance,
            preset.guidance_start,
            preset.guidance_stop,
            preset.guidance_rescale,
        )

    @property
    def changes(self) -> bool:
        """Whether some steps have guidance and others don't."""
        return self.scale > 1 and (self.start > 0 or self.stop < 1)

    def works_at(self, step: int, steps: int) -> bool:
        """Whether step `step` of `steps` needs the unconditional prediction too."""
        return self.scale > 1 and self.start <= step / steps < self.stop

    def predict(self, part: Tensor, views: Views, ask: Ask, *, guided: bool) -> Tensor:
        """What the network predicts for a window (f, c, h, w), same shape, float32.

        part: on the network's device, in its dtype.
        guided: whether `works_at` says so of the step.
        """
        clip = part.transpose(0, 1)[None]  # (1, c, f, h, w)

        def said(sight: Sight, rows: int = 1) -> Tensor:
            answer = ask(clip.expand(rows, -1, -1, -1, -1), sight)
            return answer.transpose(1, 2).float()  # (rows, f, c, h, w)

        if HALF.get() is Half.PLAIN:
            return said(views.plain)[0]
        if not guided or HALF.get() is Half.SHOWN:
            return said(views.shown)[0]
        if views.both is not None:
            return self.combine(*said(views.both, rows=2))
        return self.combine(said(views.plain)[0], said(views.shown)[0])

    def combine(self, plain: Tensor, shown: Tensor) -> Tensor:
        """The prediction from those without and with the condition, (f, c, h, w) each."""
        guided = plain + self.scale * (shown - plain)
        if not self.rescale:
            return guided
        dims = (1, 2, 3)  # each frame by itself, so that windows don't matter
        restored = guided * (shown.std(dims, keepdim=True) / guided.std(dims, keepdim=True))
        return self.rescale * restored + (1 - self.rescale) * guided
