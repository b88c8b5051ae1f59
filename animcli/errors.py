"""Every failure that a user can cause or cure, with its exit code.

    AnimError
    |- UsageError      2    an unknown option, a wrong value, an invalid combination
    |- InputError      3    a video, picture or pose file
    |- ProjectError    4    anim.toml, an environment variable
    |  `- PresetError  4    a preset or one of its keys
    |- WeightsError    5    model files: absent, damaged, foreign
    |- DeviceError     6    no such device, out of memory, an encoder that isn't here
    |- StorageError    7    disk full, cache not writable
    |- OutputError     8    the result exists already, or another process holds it
    `- BatchError      9    some jobs of a batch failed

0 is done and 1 a bug in animcli. 130 is interrupted and 143 terminated: after both the same
command goes on from where it stopped. `docs/reference/errors.md` holds the same table.
"""

from typing import ClassVar


class AnimError(Exception):
    """A failure shown as one line, with one thing to try.

    message: what is wrong with which thing (path, key, value, limit).
    hint: one thing to do about it, or nothing.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(AnimError):
    """Options that are each fine and together are not, or a value out of range."""

    exit_code = 2


class InputError(AnimError):
    """A video, picture or pose file that can't be used."""

    exit_code = 3


class ProjectError(AnimError):
    """`anim.toml` or an `ANIM_*` variable says something that can't be."""

    exit_code = 4


class PresetError(ProjectError):
    """A preset that isn't there, or a key of it that can't be."""


class WeightsError(AnimError):
    """A model file that is absent, damaged, or of another model."""

    exit_code = 5


class DeviceError(AnimError):
    """A device, an encoder or an amount of memory that this machine doesn't have."""

    exit_code = 6


class StorageError(AnimError):
    """A disk or a cache that can't be written or read."""

    exit_code = 7


class OutputError(AnimError):
    """A result that is there already, or that another process is making."""

    exit_code = 8


class BatchError(AnimError):
    """Some jobs of a batch failed; the others are done."""

    exit_code = 9


def reason_of(error: OSError) -> str:
    """Words of the system for an error, as they go on after `PATH: `."""
    return (error.strerror or str(error)).lower()
