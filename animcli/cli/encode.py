"""`anim encode`: a finished render as another file."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from animcli.cli.options import Output, Overrides, options, read_size
from animcli.cli.plan import Command, Context, FrameSource, PipelineState, Plan
from animcli.errors import InputError, UsageError


@options("codec", "quality", "fps", "audio")
def encode(
    source: Annotated[
        Path | None,
        typer.Argument(metavar="VIDEO", help="What `anim render` made; after `then` none."),
    ] = None,
    output: Output = None,
    sound: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A video whose sound goes along.")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="Scaled to fit; otherwise as it was rendered."),
    ] = None,
    *,
    overrides: Overrides,
) -> Command:
    """Encode a finished render again, from its lossless frames.

    ref-dance.mp4 --codec vp9 -> ref-dance-vp9.webm
    """
    sides = read_size(size)
    scaled = (sides["width"], sides["height"]) if sides else None
    return Encode(source, output, sound, scaled, overrides)


@dataclass(frozen=True)
class Encode:
    """`anim encode`."""

    video: Path | None
    out: Path | None
    sound: Path | None
    size: tuple[int, int] | None
    overrides: Mapping[str, object]

    def plan(self, context: Context, state: PipelineState) -> Plan:
        """The same frames as another file."""
        from animcli.cli.results import encode_stage, video_path
        from animcli.pipeline.output import Step
        from animcli.stages.reference import FitClip

        options = context.config.options(self.overrides)
        source = (
            state.source if self.video is None else frames_of_video(self.video, context)
        )
        if source is None:
            raise UsageError(
                "there is no video", "say which: anim encode VIDEO -o NAME.webm"
            )
        sound = self.sound or source.sound
        source = replace(source, sound=sound if options.audio else None)
        if self.out is None and options.codec is None:
            raise UsageError("encoded as what?", "say the new name: -o NAME, or a --codec")
        if options.codec is not None:
            source = replace(source, name=f"{source.name}-{options.codec}")
        if self.size is not None:
            source = replace(source, frames=FitClip(source.frames, self.size))
        out = video_path(source, self.out, options, context.project)
        rate = options.fps if "fps" in self.overrides else None
        stage = replace(encode_stage(source, out, options), rate=rate)
        return Plan((Step(stage, out, manifest=True),), state)


def frames_of_video(video: Path, context: Context) -> FrameSource:
    """The frames that a delivered video was encoded from, by the manifest beside it.

    Raises InputError where there is no manifest, or the cache doesn't hold them any more.
    """
    from animcli.pipeline.output import manifest_path, read_manifest
    from animcli.stages.encode import EncodeStage

    manifest = read_manifest(video)
    if manifest is None:
        raise InputError(
            f"{video}: there is no {manifest_path(video).name} beside it",
            "encode takes what `anim render` made, with its manifest",
        )
    for encoded in manifest.made.values():
        frames = manifest.made.get(encoded.inputs.get("frames", ""))
        if encoded.stage == EncodeStage.name and frames is not None:
            found = context.project.store.find(frames.digest)
            if found is not None:
                return FrameSource(found.path, video.stem, sound=video)
    raise InputError(
        f"{video}: the cache doesn't hold its frames any more",
        f"make it again first: {shlex.join(manifest.command)}",
    )
