"""Guidance: away from what the network predicts without the condition.

Source: Ho and Salimans, "Classifier-Free Diffusion Guidance", arXiv:2207.12598.
"""

from dataclasses import dataclass

from torch import Tensor


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

    def works_at(self, step: int, steps: int) -> bool:
        """Whether step `step` of `steps` needs the unconditional prediction too."""
        return self.scale > 1 and self.start <= step / steps < self.stop

    def combine(self, plain: Tensor, shown: Tensor) -> Tensor:
        """The prediction from those without and with the condition, (f, c, h, w) each."""
        guided = plain + self.scale * (shown - plain)
        if not self.rescale:
            return guided
        dims = (1, 2, 3)  # each frame by itself, so that windows don't matter
        restored = guided * (shown.std(dims, keepdim=True) / guided.std(dims, keepdim=True))
        return self.rescale * restored + (1 - self.rescale) * guided
