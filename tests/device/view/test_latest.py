"""The exchange between the loop and the viewers."""

import threading

import pytest

from live_view import COAT, eventually, snapshot
from niwaki.device.view.latest import Latest
from niwaki.device.view.seats import Seats

LONG_S = 20.0


@pytest.fixture
def waiting():
    """Starts threads that wait for another entry; gives what they got."""
    threads = []

    def start(latest, sequence):
        got = []
        thread = threading.Thread(target=lambda: got.append(latest.other_than(sequence, LONG_S)))
        threads.append(thread)
        thread.start()
        assert eventually(lambda: latest._waiting == len(threads))
        return got

    yield start
    for thread in threads:
        thread.join(LONG_S)
    assert not any(thread.is_alive() for thread in threads)


def test_nothing_yet():
    latest = Latest()
    assert latest.now() is None
    assert latest.other_than(0, 0.0) is None


def test_what_is_there_is_not_waited_for():
    latest = Latest()
    latest.publish(snapshot(number=5))
    assert latest.other_than(0, LONG_S).snapshot.number == 5
    sequence = latest.now().sequence
    assert latest.other_than(sequence + 99, LONG_S).sequence == sequence  # the client knew another run of the server
    assert latest.other_than(sequence, 0.0) is None


def test_all_who_wait_are_woken(waiting):
    latest = Latest()
    answers = [waiting(latest, 0) for _ in range(3)]
    latest.publish(snapshot(number=8))
    assert eventually(lambda: all(answers))
    assert [got[0].snapshot.number for got in answers] == [8, 8, 8]


def test_closing_wakes_them_too(waiting):
    latest = Latest()
    got = waiting(latest, 0)
    latest.close()
    assert eventually(lambda: got)
    assert got == [None]


def test_without_anybody_waiting_publishing_needs_no_lock():
    latest = Latest()
    with latest._changed:  # a deadlock if it did: the lock knows its owner, so another thread publishes
        thread = threading.Thread(target=latest.publish, args=(snapshot(),), daemon=True)
        thread.start()
        thread.join(LONG_S)
        assert not thread.is_alive()
    assert latest.now() is not None


def test_words_are_kept_though_nobody_saw_their_frames():
    latest = Latest()
    for index in range(7):
        latest.publish(snapshot(decision=COAT._replace(speak=index), language="ko"))
        latest.publish(snapshot())
    assert [word.class_index for word in latest.now().words] == [6, 5, 4, 3, 2]
    assert {word.language for word in latest.now().words} == {"ko"}


def test_a_seat_is_kept_by_asking_and_falls_free():
    seats = Seats(2, hold_s=3.0)
    assert seats.take("a", 0.0)
    assert seats.take("b", 1.0)
    assert not seats.take("c", 2.0)
    assert seats.take("a", 3.0)
    assert seats.take("c", 4.5)  # b was last seen 3.5 s ago
    assert not seats.take("b", 5.0)
