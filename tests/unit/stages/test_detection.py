"""Fetching ahead changes when things are fetched and nothing else."""

from collections.abc import Iterator

import pytest

from animcli.stages.detection import prefetch


def test_items_come_in_order() -> None:
    assert list(prefetch(range(100))) == list(range(100))


def test_what_fetching_raises_comes_in_its_turn() -> None:
    def three() -> Iterator[int]:
        yield from range(3)
        raise OSError("the disk is gone")

    items = prefetch(three())
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(OSError, match="the disk is gone"):
        next(items)


def test_no_more_than_one_is_fetched_in_advance() -> None:
    fetched = []

    def count() -> Iterator[int]:
        for number in range(100):
            fetched.append(number)
            yield number

    items = prefetch(count())
    next(items)
    items.close()
    assert len(fetched) <= 2
