"""Where a server may listen, and by which names it is known."""

import socket

import pytest

from pipeline.errors import UserError
from pipeline.web.address import Address, is_loopback, is_origin


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_this_machine_alone_needs_no_token(host: str) -> None:
    assert is_loopback(host)
    assert Address(host).token is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "a-machine.example"])
def test_beyond_this_machine_a_token_is_needed(host: str) -> None:
    with pytest.raises(UserError, match="only connect with a token") as caught:
        Address(host)
    assert caught.value.remedy is not None and "--token " in caught.value.remedy
    assert Address(host, token="eight or more").host == host


def test_a_token_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(UserError, match="8 characters"):
        Address(token="1234567")


def test_a_token_is_not_in_what_is_printed_of_an_address_by_mistake() -> None:
    assert "secret-secret" not in repr(Address(token="secret-secret"))


@pytest.mark.parametrize(
    ("host", "header", "known"),
    [
        ("127.0.0.1", "127.0.0.1:8007", True),
        ("127.0.0.1", "localhost:9000", True),  # a port that was forwarded
        ("127.0.0.1", "[::1]:8007", True),
        ("127.0.0.1", "evil.example:8007", False),  # a name that was made to lead here
        ("127.0.0.1", "127.0.0.1.evil.example", False),
        ("127.0.0.1", "192.168.1.5:8007", False),
        ("127.0.0.1", "", False),
        ("127.0.0.1", "[", False),
        ("0.0.0.0", "192.168.1.5:8007", True),
        ("0.0.0.0", socket.gethostname(), True),
        ("0.0.0.0", "evil.example", False),
        ("lab.example", "lab.example:8007", True),
        ("lab.example", "evil.example:8007", False),
    ],
)
def test_a_server_is_known_by_its_own_names_alone(host: str, header: str, known: bool) -> None:
    assert Address(host, token="eight or more").knows(header) is known


@pytest.mark.parametrize(
    ("origin", "same"),
    [
        ("http://[", False),
        ("http://localhost:8007", True),
        ("https://LOCALHOST:8007", True),
        ("http://localhost:8008", False),
        ("http://evil.example", False),
        ("null", False),
        ("file://", False),
    ],
)
def test_an_origin_is_the_servers_own_or_another(origin: str, same: bool) -> None:
    assert is_origin(origin, "localhost:8007") is same


def test_the_address_to_open_holds_the_token() -> None:
    assert Address().url(8007) == "http://127.0.0.1:8007/"
    assert Address("::1", token="a token/of mine").url(80) == "http://[::1]:80/?token=a%20token%2Fof%20mine"
    assert Address("0.0.0.0", token="eight-or-more").url(80).startswith(f"http://{socket.gethostname()}:80/")


def test_connections_are_known_as_tcp_so_that_small_answers_are_sent_at_once() -> None:
    with Address(port=0).listen() as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_a_port_in_use_is_told_with_what_to_do() -> None:
    with Address(port=0).listen() as first, pytest.raises(UserError, match="this port is in use") as caught:
        Address(port=first.getsockname()[1]).listen()
    assert "--port 8008" in str(caught.value)


def test_a_host_that_is_not_this_machine_is_told() -> None:
    with pytest.raises(UserError, match="no such host"):
        Address("nothing.invalid", token="eight or more").listen()
    with pytest.raises(UserError, match="no such host"):
        Address("..", token="eight or more").listen()
    with pytest.raises(UserError, match="cannot listen there"):
        Address("192.0.2.1", token="eight or more").listen()


def test_where_everybody_logs_in_others_may_connect_and_what_stands_in_front_has_a_name() -> None:
    address = Address("0.0.0.0", 7860, asks_who=True, names=("me-maps.hf.space",))
    assert address.knows("me-maps.hf.space") and address.knows("127.0.0.1:7860")
    assert not address.knows("evil.example")
    assert Address(port=0, names=("me-maps.hf.space",)).knows("me-maps.hf.space:443")
