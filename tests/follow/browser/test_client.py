"""What one who watches is still to be sent."""

from pipeline.follow.browser.client import Client


def take_all(client: Client) -> list[int]:
    """Numbers in the order in which they are sent to one that acknowledges each."""
    found = []
    while (chosen := client.next()) is not None:
        found.append(chosen.number)
        client.sending(str(chosen.number))
        client.acknowledge(str(chosen.number))
    return found


def test_the_recent_ones_come_first_then_what_arrived_meanwhile() -> None:
    client = Client()
    client.begin([3, 4])
    client.arrive(5)
    client.arrive(6)
    assert take_all(client) == [3, 4, 5, 6]
    assert client.num_dropped == 0


def test_at_most_two_are_on_their_way() -> None:
    client = Client()
    client.begin([1, 2, 3])
    for number in (1, 2):
        assert client.next() == (number, False)
        client.sending(str(number))
    assert client.next() is None
    client.ask(0)
    assert client.next() is None
    client.acknowledge("nothing that was sent")
    assert client.next() is None
    client.acknowledge("2")
    assert client.next() == (0, True)


def test_four_wait_and_of_more_only_the_newest_is_left() -> None:
    client = Client()
    for number in range(4):
        client.arrive(number)
    assert client.num_dropped == 0
    client.arrive(4)
    assert client.num_dropped == 1
    assert take_all(client) == [4]
    assert client.num_dropped == 4
    client.arrive(5)
    client.arrive(6)
    assert take_all(client) == [5, 6]


def test_what_waits_is_bounded_whatever_it_asks_for() -> None:
    client = Client()
    for number in range(1000):
        client.arrive(number)
        client.ask(number)
        client.notes.append("")
    assert len(client.notes) == 4
    assert take_all(client) == [996, 997, 998, 999, 999]
    assert client.num_dropped == 999
