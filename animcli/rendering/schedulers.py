"""Samplers: from a prediction to latents that are one step less noisy; and DDIM's way back.

They are diffusers' schedulers, narrowed to what the denoising loop uses, and able to hand
out what they remember between steps, so that a stopped render goes on with the same bits.
Importing diffusers takes seconds; only the scheduler that is asked for is loaded.

Inversion goes from clean latents back to noise that a sampler would have started from.
Source: Song et al., "Denoising Diffusion Implicit Models", arXiv:2010.02502, section 4.3.
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from importlib import import_module
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from animcli.rendering.noise import NoiseKind, clip_noise

Arrays = Mapping[str, NDArray[np.generic]]

CPU: Final = torch.device("cpu")


@dataclass(frozen=True)
class NoiseSchedule:
    """Noise at each of a network's 1000 timesteps, and what the network predicts.

    prediction: the noise, the velocity of Salimans and Ho, arXiv:2202.00512, or what is
        clean (`sample`).
    zero_snr: the last timestep is nothing but noise (Lin et al., arXiv:2305.08891).
    spacing, offset: which timesteps are taken when there are fewer steps.
    """

    beta_schedule: Literal["linear", "scaled_linear"] = "linear"
    prediction: Literal["epsilon", "v_prediction", "sample"] = "epsilon"
    zero_snr: bool = False
    spacing: Literal["leading", "linspace", "trailing"] = "leading"
    offset: int = 1
    beta_start: float = 0.00085
    _: KW_ONLY
    beta_end: float = 0.012
    clean_end: bool = True


@dataclass(frozen=True)
class FlowSchedule:
    """A straight line from noise to clean latents, of which a network predicts the way.

    shift: how far steps lean towards much noise. Source: Esser et al., arXiv:2403.03206,
        section 5.3.2.
    """

    shift: float = 5.0

    def options(self) -> dict[str, object]:
        """Arguments of a scheduler of diffusers that knows both kinds of schedule."""
        return {
            "prediction_type": "flow_prediction",
            "use_flow_sigmas": True,
            "flow_shift": self.shift,
        }


FLOW_SAMPLERS: Final = ("unipc", "dpmpp-2m")
"""Samplers that follow a `FlowSchedule`."""

ANIMATE_ANYONE_SCHEDULE: Final = NoiseSchedule(
    prediction="v_prediction", zero_snr=True, spacing="trailing"
)
MAGIC_ANIMATE_SCHEDULE: Final = NoiseSchedule()
SD15: Final = NoiseSchedule("scaled_linear", clean_end=False)
ANIMATEDIFF: Final = NoiseSchedule(spacing="linspace", clean_end=False)
CINEMO_SCHEDULE: Final = NoiseSchedule(beta_start=0.0001, beta_end=0.02, clean_end=False)


@dataclass(frozen=True)
class Sampler:
    """One of diffusers' schedulers.

    cls: module and class.
    state: attributes in which it keeps what it needs from earlier steps.
    options: what it is told beyond the schedule.
    stochastic: whether its steps add noise.
    clean_end: whether it can be told that the last step ends without noise.
    """

    cls: tuple[str, str]
    state: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    stochastic: bool = False
    clean_end: bool = False


SAMPLERS: Final[Mapping[str, Sampler]] = {
    # Song et al., arXiv:2010.02502
    "ddim": Sampler(
        ("scheduling_ddim", "DDIMScheduler"), options={"clip_sample": False}, clean_end=True
    ),
    # Lu et al., arXiv:2211.01095
    "dpmpp-2m": Sampler(
        ("scheduling_dpmsolver_multistep", "DPMSolverMultistepScheduler"),
        ("model_outputs", "lower_order_nums"),
    ),
    # Zhao et al., arXiv:2302.04867
    "unipc": Sampler(
        ("scheduling_unipc_multistep", "UniPCMultistepScheduler"),
        ("model_outputs", "timestep_list", "last_sample", "lower_order_nums", "this_order"),
    ),
    # Karras et al., arXiv:2206.00364, algorithm 1 without its noise
    "euler": Sampler(("scheduling_euler_discrete", "EulerDiscreteScheduler")),
    # Luo et al., arXiv:2310.04378; for networks that were distilled for it, and for tiny,
    # whose clean latents are good enough from the first step on
    "lcm": Sampler(
        ("scheduling_lcm", "LCMScheduler"),
        options={"clip_sample": False},
        stochastic=True,
        clean_end=True,
    ),
}


class Scheduler:
    """One run of a sampler over a clip."""

    def __init__(
        self,
        sampler: str,
        schedule: "NoiseSchedule | FlowSchedule",
        steps: int,
        seed: int = 0,
        noise: NoiseKind = "independent",
    ) -> None:
        """noise: how that of frames is related, which stochastic steps add.

        Raises KeyError for a sampler that isn't in `SAMPLERS`.
        """
        self._sampler = SAMPLERS[sampler]
        self._scheduler = make_scheduler(sampler, schedule)
        self._scheduler.set_timesteps(steps)
        self._seed = seed
        self._noise = noise

    @property
    def timesteps(self) -> Tensor:
        """Timesteps of the steps, (steps,)."""
        return self._scheduler.timesteps

    @property
    def init_noise_sigma(self) -> float:
        """The standard deviation of the noise that the first step expects."""
        return float(self._scheduler.init_noise_sigma)

    def noised(self, clean: Tensor, noise: Tensor, step: int) -> Tensor:
        """Clean latents as they would be before a step, with that much of the noise.

        clean, noise: (frames, c, h, w); noise of variance 1.
        """
        self.skip(step)
        at = self.timesteps[step].expand(len(clean))
        return self._scheduler.add_noise(clean, noise, at)

    def skip(self, step: int) -> None:
        """Begin with a step; those before it are left out."""
        if hasattr(self._scheduler, "set_begin_index"):
            self._scheduler.set_begin_index(step)
        self._scheduler._step_index = step  # as in `load_state_dict`

    def scale_model_input(self, latents: Tensor, step: int) -> Tensor:
        """`latents` as the network wants to see them at a step."""
        return self._scheduler.scale_model_input(latents, self.timesteps[step])

    def clean(self, seen: Tensor, prediction: Tensor, step: int) -> Tensor:
        """The clean latents that a prediction stands for, (frames, c, h, w).

        seen: what `scale_model_input` gave.
        """
        kind = self._scheduler.config.prediction_type
        if kind == "flow_prediction":  # the way from clean latents to noise
            return seen - self._scheduler.sigmas[step].to(seen) * prediction
        signal = self._scheduler.alphas_cumprod[round(float(self.timesteps[step]))]
        signal = signal.to(seen)
        if kind == "sample":
            return prediction
        if kind == "v_prediction":
            return signal.sqrt() * seen - (1 - signal).sqrt() * prediction
        return (seen - (1 - signal).sqrt() * prediction) / signal.sqrt()

    def step(self, prediction: Tensor, step: int, latents: Tensor) -> Tensor:
        """The latents (frames, c, h, w) after one step."""
        at = self.timesteps
        options: dict[str, object] = {}
        if self._sampler.stochastic:  # diffusers draws noise, which isn't taken: see below
            options["generator"] = torch.Generator()
        made = self._scheduler.step(
            prediction, at[step], latents, return_dict=False, **options
        )
        if not self._sampler.stochastic or step + 1 == len(at):
            return made[0]
        clean = made[1]
        c, h, w = clean.shape[1:]
        noise = clip_noise(self._noise, len(clean), (c, h, w), self._seed, step + 1)
        after = at[step + 1].expand(len(clean))
        return self._scheduler.add_noise(clean, noise.to(clean), after)

    def state_dict(self) -> dict[str, NDArray[np.generic]]:
        """State that is kept between steps, as named arrays."""
        arrays: dict[str, NDArray[np.generic]] = {}
        for name in self._sampler.state:
            value = getattr(self._scheduler, name)
            parts = enumerate(value) if isinstance(value, list) else [(None, value)]
            for place, part in parts:
                if part is not None:
                    key = name if place is None else f"{name}.{place}"
                    arrays[key] = torch.as_tensor(part).cpu().numpy()
        return arrays

    def load_state_dict(
        self, arrays: Arrays, step: int, device: torch.device = CPU
    ) -> None:
        """Go on at `step`, on a device, with what `state_dict` gave before it."""

        def tensor(key: str) -> Tensor:
            found = torch.from_numpy(np.asarray(arrays[key]))
            return found.to(device) if found.ndim > 1 else found  # numbers stay at hand

        self._scheduler._step_index = step  # diffusers has no public way to say it
        for name in self._sampler.state:
            value = getattr(self._scheduler, name, None)  # some are made by a first step
            if isinstance(value, list):
                for place in range(len(value)):
                    if (key := f"{name}.{place}") in arrays:
                        value[place] = tensor(key)
            elif name in arrays:
                array = tensor(name)
                setattr(self._scheduler, name, array if array.ndim else int(array))


def make_scheduler(sampler: str, schedule: NoiseSchedule | FlowSchedule) -> Any:
    """diffusers' scheduler of that name, for a schedule."""
    chosen = SAMPLERS[sampler]
    module, name = chosen.cls
    kind = getattr(import_module(f"diffusers.schedulers.{module}"), name)
    if isinstance(schedule, FlowSchedule):
        return kind(**schedule.options())
    options: dict[str, object] = dict(chosen.options)
    if chosen.clean_end:
        options["set_alpha_to_one"] = schedule.clean_end
    return kind(
        beta_start=schedule.beta_start,
        beta_end=schedule.beta_end,
        beta_schedule=schedule.beta_schedule,
        prediction_type=schedule.prediction,
        rescale_betas_zero_snr=schedule.zero_snr,
        timestep_spacing=schedule.spacing,
        steps_offset=schedule.offset,
        **options,
    )


def inverse_step(latents: Tensor, noise: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """The latents one step of the sampler earlier, given the noise predicted in them.

    before, after: how much of the variance is signal now and then (alphas_cumprod).
    """
    clean = (latents - (1 - before).sqrt() * noise) / before.sqrt()
    return after.sqrt() * clean + (1 - after).sqrt() * noise


class DDIMInversion:
    """DDIM run backwards, at the same places of the loop as a `Scheduler`.

    Steps go up in noise, and each is predicted at the noise that it leads to, from latents
    that have less; over many small steps that makes no difference.
    """

    init_noise_sigma = 1.0

    def __init__(self, schedule: NoiseSchedule, steps: int) -> None:
        scheduler = make_scheduler("ddim", schedule)
        scheduler.set_timesteps(steps)
        self.timesteps: Tensor = scheduler.timesteps.flip(0)
        self._signal: Tensor = scheduler.alphas_cumprod
        self._clean: Tensor = scheduler.final_alpha_cumprod
        self._stride = len(self._signal) // steps

    def scale_model_input(self, latents: Tensor, step: int) -> Tensor:
        """`latents`, which are as the network wants to see them."""
        return latents

    def step(self, prediction: Tensor, step: int, latents: Tensor) -> Tensor:
        """The latents (frames, c, h, w) after one step, with more noise."""
        after = int(self.timesteps[step])
        before = after - self._stride
        signal = self._signal[before] if before >= 0 else self._clean
        return inverse_step(latents, prediction, signal, self._signal[after])

    def state_dict(self) -> dict[str, NDArray[np.generic]]:
        """Nothing is remembered between steps."""
        return {}

    def load_state_dict(
        self, arrays: Arrays, step: int, device: torch.device = CPU
    ) -> None:
        """Go on at `step`, which needs nothing from before it."""
