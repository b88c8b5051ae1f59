"""Whatever happens to a project, asking again gives what a project without a past gives."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from builders.faults import Fault
from builders.stages import Shout, WriteWord, executor, shouted
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from animcli import files

WORDS = ("hop", "hop skip", "hop skip jump")
MARKS = ("!", "?")


def expected(words: str, mark: str) -> list[str]:
    """What a project without a past gives."""
    return [word.upper() + mark for word in words.split()]


class ProjectWithAPast(RuleBasedStateMachine):
    """Runs, kills, damage, losses and other settings, in any order."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.words, self.mark = WORDS[0], MARKS[0]

    def teardown(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def stage(self) -> Shout:
        return Shout(WriteWord(self.words), self.mark)

    @rule(words=st.sampled_from(WORDS), mark=st.sampled_from(MARKS))
    def change_settings(self, words: str, mark: str) -> None:
        self.words, self.mark = words, mark

    @rule()
    def run(self) -> None:
        artifact = executor(self.folder).make(self.stage)
        assert shouted(artifact.path) == expected(self.words, self.mark)

    @rule(n=st.integers(1, 70), how=st.sampled_from(["kill", "torn"]))
    def kill_at(self, n: int, how: str) -> None:
        """The n-th operation on the disk is the last of the process."""
        child = os.fork()
        if child == 0:
            files.about_to = Fault("any", n, how)
            executor(self.folder).make(self.stage)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert status in (0, signal.SIGKILL)

    @rule(
        pick=st.integers(0, 1000),
        how=st.sampled_from(["flip", "truncate", "empty", "append", "remove"]),
    )
    def damage(self, pick: int, how: str) -> None:
        """Any file of the cache, locks excepted: they hold nothing."""
        files = sorted(
            path
            for path in self.folder.rglob("*")
            if path.is_file() and path.parent.name != "locks"
        )
        if not files:
            return
        path = files[pick % len(files)]
        data = path.read_bytes()
        middle = len(data) // 2
        if how == "flip" and data:
            path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
        elif how == "truncate":
            path.write_bytes(data[:middle])
        elif how == "empty":
            path.write_bytes(b"")
        elif how == "append":
            path.write_bytes(data + b"x")
        elif how == "remove":
            path.unlink()

    @rule(pick=st.integers(0, 1000))
    def lose_a_folder(self, pick: int) -> None:
        folders = sorted(path for path in self.folder.rglob("*") if path.is_dir())
        if folders:
            shutil.rmtree(folders[pick % len(folders)])

    @rule(unfinished_only=st.booleans())
    def clear(self, unfinished_only: bool) -> None:
        executor(self.folder).store.clear(unfinished_only=unfinished_only)

    @rule()
    def verify(self) -> None:
        for _ in executor(self.folder).store.verify():
            pass

    @rule()
    def move_the_project(self) -> None:
        elsewhere = Path(tempfile.mkdtemp()) / "moved"
        shutil.move(self.folder, elsewhere)
        self.folder = elsewhere

    @rule()
    def turn_the_clock(self) -> None:
        for path in self.folder.rglob("*"):
            os.utime(path, (0, 0))

    @invariant()
    def what_is_called_whole_is_right(self) -> None:
        """No entry that verifies holds anything but what its settings give."""
        if not hasattr(self, "folder"):
            return
        store = executor(self.folder).store
        for line in list(store.ls()):
            artifact = store.find(line.key) if line.state == "whole" else None
            if artifact is None or not store.is_whole(artifact):
                continue
            if artifact.record.cache_key.stage == "write-word":
                word = artifact.record.cache_key.settings["word"]
                assert artifact.path.read_text() == word


ProjectWithAPast.TestCase.settings = settings(max_examples=25, stateful_step_count=12)


# Python 3.12 warns about any fork while there are threads; the child only writes files.
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
class TestProjectWithAPast(ProjectWithAPast.TestCase):  # type: ignore[misc,valid-type]
    pass
