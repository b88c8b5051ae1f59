"""Gives `anim render` with Cinemo's tiny networks, and dies when told to.

It answers the requests of `resume_runner`; in the folder are `ref.png`, `clip.mkv` and
`weights/`, and it makes `out.mp4`.
"""

import os
import sys
from pathlib import Path

import diffusers.models.autoencoders.autoencoder_kl_temporal_decoder
import diffusers.schedulers.scheduling_dpmsolver_multistep
import transformers.models.clip.tokenization_clip

from animcli.cli.main import main
from animcli.pipeline import output
from animcli.stages import render
from builders.resume_runner import serve
from builders.tiny_cinemo import register_tiny_cinemo

LOADED = (output, diffusers, render, transformers)
"""What a run would import; here once, before the forks."""

WORDS = (
    "render ref.png --preset cinemo --motion-from clip.mkv --size 64x64 --steps 2 "
    "--sampler dpmpp-2m --window 2 --overlap 0 --frames 5 --extend continue "
    "--decoder frame -o out.mp4 --quiet"
)
"""Two parts, each inverted and then sampled."""


def render_here(folder: Path) -> None:
    """What a user types in a project's folder."""
    os.chdir(folder)
    os.environ["ANIM_WEIGHTS"] = str(folder / "weights")
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())  # answers go there
    os._exit(main(WORDS.split()))


if __name__ == "__main__":
    register_tiny_cinemo()
    serve(render_here)
