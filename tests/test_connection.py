"""Whose word counts about where a request comes from."""

from typing import Any

import pytest

from quartchat.connection import Proxies

CLIENT = "203.0.113.9"


def scope(client: str | None = "10.0.0.1", **headers: str | list[str]) -> dict[str, Any]:
    pairs = [(b"host", b"inside"), (b"accept", b"*/*")]
    for name, values in headers.items():
        key = name.replace("_", "-").encode()
        pairs += [(key, v.encode()) for v in ([values] if isinstance(values, str) else values)]
    return {
        "type": "http",
        "scheme": "http",
        "client": None if client is None else (client, 5000),
        "headers": pairs,
    }


def seen(allowed: list[str], request: dict[str, Any]) -> tuple[str, str, list[bytes]]:
    """The client, the scheme and the hosts that the application meets."""
    found = Proxies(allowed).see_through(request)
    hosts = [value for name, value in found["headers"] if name == b"host"]
    return found["client"][0], found["scheme"], hosts


def test_a_trusted_proxy_is_believed() -> None:
    request = scope(
        x_forwarded_for=CLIENT, x_forwarded_proto="https", x_forwarded_host="chat.example"
    )
    before = {**request, "headers": list(request["headers"])}
    assert seen(["10.0.0.1"], request) == (CLIENT, "https", [b"chat.example"])
    assert request == before


def test_nobody_else_is() -> None:
    request = scope(CLIENT, x_forwarded_for="1.2.3.4", x_forwarded_proto="https")
    for allowed in ([], ["10.0.0.1"], ["10.0.0.0/8", "fd00::/8"]):
        assert Proxies(allowed).see_through(request) is request


def test_a_client_without_an_address_is_not() -> None:
    request = scope(None, x_forwarded_for="1.2.3.4")
    assert Proxies(["*"]).see_through(request) is request


@pytest.mark.parametrize(
    ("allowed", "forwarded", "client"),
    [
        (["10.0.0.0/8"], f"{CLIENT}, 10.0.0.2", CLIENT),
        (["10.0.0.1"], f"{CLIENT}, 10.0.0.2", "10.0.0.2"),
        (["10.0.0.7/8"], f"{CLIENT} ,10.9.9.9,  10.0.0.2", CLIENT),
        (["10.0.0.1", "fd00::/8"], f"{CLIENT}, fd00::2", CLIENT),
        # what the client made up stands in front of what the proxies saw
        (["10.0.0.0/8"], f"1.2.3.4, {CLIENT}", CLIENT),
        (["10.0.0.0/8"], f"10.0.0.3, {CLIENT}", CLIENT),
        (["10.0.0.0/8"], f"10.0.0.3, {CLIENT}, 10.0.0.2", CLIENT),
        (["*"], f"1.2.3.4, {CLIENT}", CLIENT),
        # all of them are ours: the first is the client
        (["10.0.0.0/8"], "10.0.0.4, 10.0.0.3", "10.0.0.4"),
        (["10.0.0.0/8"], "unknown", "unknown"),
        (["10.0.0.0/8"], f"unknown, {CLIENT}", CLIENT),
        (["10.0.0.0/8"], "", "10.0.0.1"),
        (["10.0.0.0/8"], " , ", "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_that_is_no_proxy_of_ours(
    allowed: list[str], forwarded: str, client: str
) -> None:
    assert seen(allowed, scope(x_forwarded_for=forwarded))[0] == client


def test_a_header_given_twice_is_one_list() -> None:
    request = scope(x_forwarded_for=["1.2.3.4", f"{CLIENT}, 10.0.0.2"])
    assert seen(["10.0.0.0/8"], request)[0] == CLIENT


@pytest.mark.parametrize(
    ("proto", "scheme"),
    [("https", "https"), ("http, https", "https"), ("https, http", "http"), ("gopher", "http")],
)
def test_the_scheme_is_what_the_proxy_says_and_one_that_we_know(proto: str, scheme: str) -> None:
    assert seen(["*"], scope(x_forwarded_proto=proto))[1] == scheme


def test_the_host_stays_where_the_proxy_says_nothing() -> None:
    assert seen(["*"], scope(x_forwarded_for=CLIENT))[2] == [b"inside"]
    assert seen(["*"], scope(x_forwarded_host="evil, chat.example"))[2] == [b"chat.example"]


def test_a_setting_that_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        Proxies(["proxy.local"])
