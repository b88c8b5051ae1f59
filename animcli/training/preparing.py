"""Prepares shards in a process of its own, while another trains on those that are there.

Drawing, or decoding a video, takes about as long as an update; beside a training loop of
one thread it costs nothing on a second core.
"""

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from animcli.training.shards import Footage, prepare, shard_path

NICE = 10


@dataclass(frozen=True)
class Preparation:
    """What a preparing process does.

    clip: number of a clip -> its footage; a function that a new process can import.
    clips: in a shard. shards: in all.
    """

    clip: Callable[[int], Footage]
    folder: Path
    clips: int
    shards: int

    def is_done(self) -> bool:
        """Whether all shards are there."""
        paths = (shard_path(self.folder, number) for number in range(self.shards))
        return all(path.is_file() for path in paths)

    def make(self, number: int) -> None:
        """Write shard `number`, unless it is there."""
        path = shard_path(self.folder, number)
        if not path.is_file():
            first = number * self.clips
            prepare(map(self.clip, range(first, first + self.clips)), path)

    def start(self) -> multiprocessing.process.BaseProcess:
        """Begin, in a process that ends with this one at the latest."""
        self.folder.mkdir(parents=True, exist_ok=True)
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_work, args=(self, os.getpid()), daemon=True)
        process.start()
        return process


def as_worker() -> None:
    """Make way for the process that trains."""
    os.nice(NICE)
    torch.set_num_threads(1)


def _work(preparation: Preparation, parent: int) -> None:
    as_worker()
    for number in range(preparation.shards):
        if os.getppid() != parent:  # it was killed, and couldn't end this process
            return
        preparation.make(number)
