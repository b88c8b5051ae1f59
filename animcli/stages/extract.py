"""Video in, joints over time out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from animcli.stages.stage import Bench, Source, settings_of


@dataclass(frozen=True)
class ExtractStage:
    """Finds one person's joints in every frame of a video.

    video: a video, an animation or a folder of pictures.
    clean: fill short gaps and take out the trembling.
    keep_going: leave damaged frames out instead of stopping at them.
    """

    name: ClassVar[str] = "extract-pose"
    revision: ClassVar[int] = 1
    suffix: ClassVar[str] = ".pose"
    libraries: ClassVar[tuple[str, ...]] = (
        "ai-edge-litert",
        "av",
        "opencv-python-headless",
    )

    video: Source
    detector: str = "blazepose"
    hands: bool = True
    face: bool = True
    clean: bool = True
    keep_going: bool = False

    @property
    def weights(self) -> tuple[str, ...]:
        return (self.detector,)

    def inputs(self) -> Mapping[str, Source]:
        return {"video": self.video}

    def settings(self) -> Mapping[str, object]:
        return settings_of(self)

    def run(self, bench: Bench) -> None:
        raise NotImplementedError
