"""A batch ends as it should whatever becomes of the processes that do its jobs."""

import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from benchmarks.batch_kills import Files, run_until_done

from animcli.batch.driver import BatchOptions, Counts, Driver
from animcli.batch.engine import Here, Seat
from animcli.batch.jobs import Job
from animcli.batch.journal import Journal, Standing, read_journal, standings
from animcli.batch.queue import Ended

TESTS = Path(__file__).resolve().parents[1]


@dataclass
class Notes:
    """What a user would have been told."""

    lines: list[str] = field(default_factory=list)

    def note(self, line: str) -> None:
        self.lines.append(line)

    def job_ended(self, job: Job, how: Ended, outcome: str, slot: str) -> None:
        self.lines.append(f"{job.name} {how.exit_code} {outcome}")

    def slot(self, slot: str, what: str, done: int, of: int) -> None:
        pass

    def counted(self, counts: Counts) -> None:
        pass


@dataclass
class Bench:
    """A folder in which batches of fake jobs are run."""

    folder: Path
    notes: Notes = field(default_factory=Notes)

    def run(
        self,
        lines: Sequence[str],
        slots: int = 1,
        options: BatchOptions | None = None,
        stopping: Callable[[], int] = lambda: 0,
        after: Sequence[str] = (),
    ) -> Driver:
        jobs = [
            Job(
                number,
                f"job-{number}",
                tuple(line.split()),
                (),
                after=tuple(after[:number]),
            )
            for number, line in enumerate(lines)
        ]
        return self.run_jobs(jobs, slots, options, stopping)

    def run_jobs(
        self,
        jobs: Sequence[Job],
        slots: int = 1,
        options: BatchOptions | None = None,
        stopping: Callable[[], int] = lambda: 0,
    ) -> Driver:
        done = {name for name, at in self.standing().items() if at.state == "done"}
        journal = Journal(self.folder / "batch.jsonl")
        driver = Driver(
            Here("batch_fakes:work", [Seat()] * slots, self.folder / "logs"), journal,
            self.notes, self.folder, self.folder, options=options or BatchOptions(),
            recorded=frozenset(done), stopping=stopping,
        )  # fmt: skip
        self.code = driver.run(jobs)
        journal.close()
        return driver

    def standing(self) -> dict[str, Standing]:
        return standings(read_journal(self.folder / "batch.jsonl"))

    def log(self) -> list[str]:
        path = self.folder / "log"
        return [line.split()[0] for line in path.read_text().splitlines()]


def sharing(stage: str) -> list[Job]:
    """Four jobs that need one stage."""
    return [
        Job(number, f"job-{number}", ("make", str(number), "shared", stage), ())
        for number in range(4)
    ]


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    return Bench(tmp_path)


def test_every_job_is_done_once_by_the_two_slots(context: Bench) -> None:
    context.run([f"make {number}" for number in range(12)], slots=2)
    assert context.code == 0
    assert sorted(context.log(), key=int) == [str(number) for number in range(12)]
    assert {at.state for at in context.standing().values()} == {"done"}


def test_what_is_done_isn_t_done_again(context: Bench) -> None:
    jobs = [f"make {number}" for number in range(4)]
    context.run(jobs)
    driver = context.run(jobs)
    assert (driver.counts.fresh, driver.counts.done) == (4, 0)
    assert len(context.log()) == 4
    ends = [x for x in read_journal(context.folder / "batch.jsonl") if x["event"] == "end"]
    assert len(ends) == 4  # each job's record once


@pytest.mark.parametrize("death", ["segfault", "leave 139", "leave 0", "killed"])
def test_a_job_whose_process_dies_is_begun_again(context: Bench, death: str) -> None:
    context.run([f"once a {death}", "make b"], slots=2)
    assert context.code == 0
    assert (context.folder / "a").read_text() == "a" * 1000  # whole
    assert context.standing()["job-0"].attempts == 2


def test_a_job_that_always_dies_fails_alone(context: Bench) -> None:
    context.run(["killed", *(f"make {number}" for number in range(6))], slots=2)
    assert context.code == 9
    assert context.log().count("killed") == 4  # once, and three more times
    assert context.standing()["job-0"].state == "failed"
    assert "SIGKILL" in context.standing()["job-0"].error
    assert all((context.folder / str(number)).exists() for number in range(6))


@pytest.mark.parametrize(
    ("code", "times"), [(2, 1), (3, 1), (4, 1), (5, 1), (1, 2), (6, 2)]
)
def test_a_failure_is_tried_again_only_where_that_may_help(
    context: Bench, code: int, times: int
) -> None:
    context.run([f"fail {code} x", "make a"])
    assert context.code == 9
    assert context.log().count(f"fail-{code}") == times
    assert context.standing()["job-0"].exit_code == code
    assert (context.folder / "a").exists()


def test_garbage_on_standard_output_is_no_event(context: Bench) -> None:
    context.run(["garbage a", "make b"])
    assert context.code == 0
    assert sorted(context.log()) == ["a", "b"]


def test_a_shared_stage_is_made_once_before_those_who_need_it(context: Bench) -> None:
    context.run_jobs(sharing("make s"), slots=2)
    assert context.code == 0
    assert sorted(context.log()) == ["0", "1", "2", "3", "s"]
    assert context.log()[0] == "s"


def test_a_shared_stage_that_fails_is_tried_once_for_all_of_them(context: Bench) -> None:
    context.run_jobs(sharing("fail 3"), slots=2)
    assert context.code == 9
    assert context.log() == ["fail-3"]
    assert {at.exit_code for at in context.standing().values()} == {3}


def test_a_question_that_kills_its_process_stops_no_job(context: Bench) -> None:
    context.run(["make a shared one-word", "make b"])
    assert context.code == 0
    assert sorted(context.log()) == ["a", "b"]


def test_a_slow_shared_stage_holds_up_only_those_who_need_it(context: Bench) -> None:
    jobs = [
        Job(0, "a", ("make", "a", "shared", "slow s 1"), ()),
        Job(1, "b", ("make", "b", "shared", "slow s 1"), ()),
        Job(2, "c", ("make", "c"), ()),
    ]
    context.run_jobs(jobs, slots=2)
    log = context.log()
    assert sorted(log) == ["a", "b", "begin-s", "c", "s"]
    assert max(log.index("begin-s"), log.index("c")) < log.index("s")
    assert log.index("s") < min(log.index("a"), log.index("b"))


def test_the_longest_job_goes_first_and_after_is_kept(context: Bench) -> None:
    jobs = [
        Job(0, "a", ("make", "a", "cost", "1"), ()),
        Job(1, "b", ("make", "b", "cost", "5"), ()),
        Job(2, "c", ("make", "c", "cost", "9"), (), after=("a",)),
    ]
    context.run_jobs(jobs)
    assert context.log() == ["b", "a", "c"]


def test_jobs_may_wait_for_jobs_that_stand_behind_them(context: Bench) -> None:
    jobs = [
        Job(number, str(number), ("make", str(number)), (), after=(str(number + 1),))
        for number in range(16)
    ]
    context.run_jobs([*jobs, Job(16, "16", ("make", "16"), ())], slots=2)
    assert context.log() == [str(number) for number in range(16, -1, -1)]


def test_a_job_goes_on_after_one_that_failed(context: Bench) -> None:
    jobs = [
        Job(0, "a", ("fail", "3", "a"), ()),
        Job(1, "b", ("make", "b"), (), after=("a",)),
    ]
    context.run_jobs(jobs)
    assert context.log() == ["fail-3", "b"]


def test_no_more_jobs_are_begun_after_the_most_failures(context: Bench) -> None:
    driver = context.run(["fail 3 x"] * 9, options=BatchOptions(max_failures=2))
    assert context.code == 9
    assert len(context.log()) == 2
    assert driver.counts.left == 7


def test_a_job_that_hears_no_signal_is_ended_after_the_grace(context: Bench) -> None:
    def stopping() -> int:
        return 143 if (context.folder / "log").exists() else 0

    context.run(["deaf 60", "make b"], options=BatchOptions(grace=0.5), stopping=stopping)
    assert context.code == 143
    assert context.log() == ["deaf"]
    assert context.standing()["job-0"].state == "stopped"


def test_a_child_that_can_t_start_is_given_up(context: Bench) -> None:
    Path(context.folder / "batch_fakes.py").write_text("raise ImportError('no such thing')")
    os.environ["PYTHONPATH"] = str(context.folder) + os.pathsep + os.environ["PYTHONPATH"]
    driver = context.run(["make a"])
    assert context.code == 9
    assert driver.counts.left == 1
    assert "no such thing" in "".join(context.notes.lines)


def test_two_jobs_that_fail_alike_on_one_slot_take_it_out(context: Bench) -> None:
    """The other slot is kept busy, so that both land on the first."""
    context.run(["slow s 9", "fail 1 x", "fail 1 x", "make a", "make b"], slots=2)
    assert any("is taken out" in line for line in context.notes.lines)
    assert (context.folder / "a").exists()
    assert (context.folder / "b").exists()


def test_a_dozen_kills_of_drivers_and_workers_lose_nothing(tmp_path: Path) -> None:
    jobs, chance, rounds = Files(), random.Random(11), 0
    kills: Counter[str] = Counter()
    while kills.total() < 12:
        folder = tmp_path / f"batch-{rounds}"
        run_until_done(jobs.prepare(folder), folder, chance, kills, usual=4.0)
        assert jobs.made(folder) == jobs.expected(folder)
        events = read_journal(jobs.journal(folder))
        ends = [x["job"] for x in events if x["event"] == "end" and x["exit_code"] == 0]
        assert sorted(ends) == sorted(jobs.expected(folder))  # each once
        rounds += 1
    assert {"driver SIGKILL", "worker SIGKILL"} <= set(kills)
