"""A first signal lets the unit of work end; what isn't work ends at once."""

import os
import signal
from collections.abc import Iterator

import pytest

from animcli.cli.signals import Stop, Stopped, listening


@pytest.fixture(autouse=True)
def _same_handlers_afterwards() -> Iterator[None]:
    before = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_work_ends_between_two_units(number: signal.Signals, code: int) -> None:
    told: list[int] = []
    stop = Stop(told.append)
    units: list[int] = []

    def work() -> None:
        with listening(stop), stop.between_segments():
            for unit in range(5):
                if unit == 2:
                    os.kill(os.getpid(), number)
                units.append(unit)
                stop.check_cancelled()

    with pytest.raises(Stopped) as stopped:
        work()
    assert (stopped.value.exit_code, told, units) == (code, [code], [0, 1, 2])


def test_what_is_no_work_ends_at_once() -> None:
    with pytest.raises(Stopped), listening(Stop()):
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_second_signal_on_the_way_out_changes_nothing() -> None:
    with pytest.raises(Stopped), listening(Stop()):
        os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)


def test_afterwards_signals_mean_what_they_meant_before() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with listening(Stop()):
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
