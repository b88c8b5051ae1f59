"""Help of commands with many options, in groups: motion, picture, render, result.

As Rich's panels would have it, without loading Rich for `--help`.
"""

from collections.abc import Mapping
from typing import Any, Final

from typer.core import TyperCommand

from animcli.cli.config import HOMES
from animcli.presets import Preset

_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "Motion": (
        *("motion", "start", "end", "every", "loop", "speed", "only", "no_retarget"),
        *("person", "detector", "detector_device", "detect_every", "bgr_input", "kind"),
        *("hands", "face", "clean", "camera", "keep_in_frame", "keep_going", "face_from"),
        *("motion_from", "motion_like", "motion_strength", "motion_bucket"),
        *("view", "up", "names"),
    ),
    "Picture": (
        *("reference_pose", "reference_person", "cast", "background", "fit", "own_size"),
        "life",
    ),
    "Render": (
        *("preset", "device", "offload", "preview", "start_from", "slots", "engine"),
        *(name for name, home in HOMES.items() if home is Preset),
    ),
    "Result": (
        *("output", "frames", "size", "fps", "codec", "quality", "audio", "alpha"),
        *("compare", "report"),
    ),
}
GROUP_OF: Final[Mapping[str, str]] = {
    name: group for group, names in reversed(list(_GROUPS.items())) for name in names
}
"""Name of an option -> the group that it stands under in the help."""


class GroupedCommand(TyperCommand):
    """A command whose help has its options in groups."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options of each group."""
        groups: dict[str, list[tuple[str, str]]] = {
            name: [] for name in ("Arguments", *_GROUPS, "Options")
        }
        for param in self.get_params(ctx):
            if (record := param.get_help_record(ctx)) is None:
                continue
            is_option = param.param_type_name == "option"
            usual = GROUP_OF.get(str(param.name), "Options")
            groups[usual if is_option else "Arguments"].append(record)
        for name, records in groups.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records)
