"""What a failure means is decided by its class, and by where it happened."""

from typing import Any

import pytest

from animcli.batch.jobs import Job
from animcli.batch.queue import Decision, Ended, Failure, Queue, SlotTask, TaskKind, died

SLOTS = ("one", "two")


def task(number: int, **facts: Any) -> SlotTask:
    job = Job(number, f"job-{number}", (), ())
    return SlotTask(number, TaskKind.RUN, job.name, {"words": ["render"]}, job, **facts)


def attempt(
    queue: Queue, slot: str, how: Ended, now: float = 0.0, full: bool = False
) -> Decision:
    assert queue.give(slot, SLOTS) is not None
    return queue.ended(slot, how, now, SLOTS, full=full)


@pytest.mark.parametrize(
    ("code", "failure"),
    [(0, None), (1, Failure.BUG), (2, Failure.WRONG), (3, Failure.WRONG),
     (4, Failure.WRONG), (5, Failure.WRONG), (6, Failure.MEMORY), (7, Failure.DISK),
     (8, Failure.WRONG), (130, Failure.LOST), (143, Failure.LOST), (None, Failure.LOST)],
)  # fmt: skip
def test_exit_codes_have_classes(code: int | None, failure: Failure | None) -> None:
    assert Ended(code).failure is failure


def test_a_lost_job_goes_elsewhere_first() -> None:
    queue = Queue()
    queue.add(task(0))
    assert attempt(queue, "one", died(-9, "")).again
    assert queue.give("one", SLOTS) is None
    assert queue.give("one", ["one"]) is not None  # no other slot is left


def test_a_job_out_of_memory_gets_one_attempt_alone_in_less_of_it() -> None:
    queue = Queue(lower_memory={"ANIM_OFFLOAD": "networks"})
    queue.add(task(0))
    queue.add(task(1))
    verdict = attempt(queue, "one", Ended(6, "out of memory"))
    assert verdict == Decision(again=True, fresh_child=True)
    second = queue.give("one", SLOTS)
    assert second is not None
    assert second.number == 1
    assert queue.give("two", SLOTS) is None  # not beside another
    queue.ended("one", Ended(0), 0.0, SLOTS, full=False)
    again = queue.give("two", SLOTS)
    assert again is not None
    assert again.request["words"] == ["render"]
    assert again.request["variables"] == {"ANIM_OFFLOAD": "networks"}
    queue.add(task(2))
    assert queue.give("one", SLOTS) is None  # it is alone now
    assert not queue.ended("two", Ended(6), 0.0, SLOTS, full=False).again


def test_a_full_disk_pauses_and_costs_no_attempt() -> None:
    queue = Queue()
    queue.add(task(0))
    for _ in range(9):
        assert attempt(queue, "one", Ended(7), full=True) == Decision(
            again=True, pause=True
        )
    assert not attempt(queue, "one", Ended(7), full=False).again


def test_two_jobs_that_fail_alike_within_a_minute_take_a_slot_out() -> None:
    queue = Queue()
    for number in range(4):
        queue.add(task(number))
    assert not attempt(queue, "one", Ended(1, "CUDA error")).slot_out
    assert not attempt(queue, "one", Ended(1, "another"), now=1).slot_out
    assert not attempt(queue, "one", Ended(3, "CUDA error"), now=2).slot_out
    assert attempt(queue, "one", Ended(1, "CUDA error"), now=30).slot_out


def test_failures_that_are_far_apart_don_t_speak_against_a_slot() -> None:
    queue = Queue()
    for number in range(2):
        queue.add(task(number))
    attempt(queue, "one", Ended(1, "CUDA error"))
    assert not attempt(queue, "one", Ended(1, "CUDA error"), now=61).slot_out


def test_the_last_slot_is_never_taken_out() -> None:
    queue = Queue()
    for number in range(2):
        queue.add(task(number))
        assert queue.give("one", ["one"])
        assert not queue.ended("one", Ended(1, "x"), 0.0, ["one"], full=False).slot_out


def test_what_was_put_back_counts_as_never_given() -> None:
    queue = Queue()
    queue.add(task(0))
    queue.give("one", SLOTS)
    queue.put_back("one")
    again = queue.give("two", SLOTS)
    assert again is not None
    assert again.attempts == 1


def test_the_end_of_a_process_is_told_in_words() -> None:
    assert "SIGSEGV" in died(-11, "").error
    assert "SIGSEGV" in died(139, "").error
    assert died(1, "ImportError: x").error.endswith("exit code 1: ImportError: x")
