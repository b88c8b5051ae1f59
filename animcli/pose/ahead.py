"""Fetch what comes next while the last is still being worked on."""

from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterable[Item]) -> Generator[Item, None, None]:
    """The items, each fetched by another thread while the one before is worked on.

    What fetching raises is raised here, in its turn. Fetching ends with the iterator.

    One in advance is enough to keep both sides busy. With more video frames about, memory
    goes back to the system and is fetched anew: 1 ms of processor time a frame at 1080p.
    """
    iterator = iter(items)
    end = object()
    pool = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
    try:
        coming = pool.submit(next, iterator, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, iterator, end)
            yield item  # type: ignore[misc]  # all but the end are items
    finally:
        pool.shutdown(cancel_futures=True)
