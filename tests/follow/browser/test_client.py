"""What one who watches is still to be sent."""

from collections.abc import Iterable
from typing import Any

from pipeline.follow.browser.client import Client
from pipeline.follow.browser.reel import Part, Reel


def reel(id: str, num_parts: int = 3) -> Reel:
    """A reel with that many parts: a head, and pieces."""
    made = Reel(id)
    for number in range(num_parts):
        made.add(Part(f"{id}{number}", number == num_parts - 1, ""))
    return made


def begin(client: Client) -> list[int]:
    """Put on its way what can be; their numbers."""
    numbers = []
    while (chosen := client.next()) is not None:
        numbers.append(chosen.number)
        client.run(reel(str(chosen.number)), "", whole=chosen.asked)
    return numbers


def send(client: Client) -> list[Any]:
    """Send what can be; the parts."""
    parts = []
    while (one := client.part()) is not None:
        parts.append(one.reel.parts[one.num_sent])
        one.num_sent += 1
    return parts


def take(client: Client) -> Iterable[int]:
    """Numbers of all that it is sent when it acknowledges each."""
    found = []
    while numbers := begin(client):
        found += numbers
        while send(client):
            for number in numbers:
                client.acknowledge(str(number))
    return found


def test_the_recent_ones_come_first_then_what_arrived_meanwhile() -> None:
    client = Client()
    client.begin([3, 4])
    client.arrive(5)
    client.arrive(6)
    assert take(client) == [3, 4, 5, 6]
    assert client.num_dropped == 0


def test_six_heads_are_on_their_way_and_all_of_the_one_that_was_asked_for() -> None:
    client = Client()
    client.begin(range(9))
    assert begin(client) == [0, 1, 2, 3, 4, 5]
    client.ask(9)
    assert begin(client) == [9]
    assert send(client) == ["00", "10", "20", "30", "40", "50", "90", "91", "92"]
    client.acknowledge("nothing that was sent")
    assert (begin(client), send(client)) == ([], [])
    client.acknowledge("9")
    client.acknowledge("1")
    assert (begin(client), send(client)) == ([6], ["60"])


def test_heads_keep_the_order_of_the_file_and_what_was_asked_for_does_not_wait_for_them() -> None:
    client, late = Client(), Reel("a")
    client.run(late, "", whole=False)
    client.run(reel("b"), "", whole=False)
    client.run(reel("c"), "", whole=True)
    assert send(client) == ["c0", "c1", "c2"]
    late.add(Part("a0", False, ""))
    assert send(client) == ["a0", "b0"]


def test_who_asks_for_another_one_is_sent_no_more_of_the_one_before() -> None:
    client = Client()
    for id in (1, 2, 3):
        client.ask(id)
    assert begin(client) == [3]
    client.ask(4)
    assert (begin(client), send(client)) == ([4], ["40", "41", "42"])


def test_four_wait_and_of_more_only_the_newest_is_left() -> None:
    client = Client()
    for number in range(4):
        client.arrive(number)
    assert client.num_dropped == 0
    client.arrive(4)
    assert client.num_dropped == 1
    assert take(client) == [4]
    assert client.num_dropped == 4
    client.arrive(5)
    client.arrive(6)
    assert take(client) == [5, 6]


def test_what_waits_is_bounded_whatever_it_asks_for() -> None:
    client = Client()
    for number in range(1000):
        client.arrive(number)
        client.ask(number)
        client.notes.append("")
    assert len(client.notes) == 4
    assert take(client) == [999, 999]
    assert client.num_dropped == 999


def test_a_problem_is_told_once_and_what_is_broken_makes_room() -> None:
    client, broken, partly = Client(), Reel("a"), Reel("b")
    broken.fail("a is bad")
    partly.add(Part("b0", False, "b has no opinion"))
    client.run(broken, "", whole=False)
    client.run(partly, "", whole=False)
    assert [client.problem() for _ in range(3)] == ["a is bad", "b has no opinion", ""]
    assert [one.reel.id for one in client.running] == ["b"]
    assert send(client) == ["b0"]


def test_nothing_of_before_is_sent_after_a_start_over() -> None:
    client = Client()
    client.begin([0, 1])
    client.curves = (0, 9)
    begin(client)
    client.start_over("why")
    assert (send(client), client.notes.popleft(), client.curves, client.num_rows) == ([], "why", None, 0)
    client.begin([7])
    assert (begin(client), send(client)) == ([7], ["70"])


def test_who_has_gone_is_woken_no_more() -> None:
    client, one = Client(), Reel("a")
    client.run(one, "", whole=False)
    client.run(one, "", whole=True)
    one.add(Part("a0", True, ""))
    send(client)
    assert one.listeners == {client.woken}
    client.leave()
    assert one.listeners == set()
