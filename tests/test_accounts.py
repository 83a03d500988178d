"""Accounts, sessions and tokens, as the outside meets them."""

import asyncio
import secrets
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import harness
import httpx
import pytest
from clients import Client
from harness import PASSWORD, Server

from quartchat import store
from quartchat.store import accounts

StartServer = Callable[..., Server]


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def new_name() -> str:
    return f"n-{secrets.token_hex(4)}"


def register(client: Client, **fields: Any) -> httpx.Response:
    return client.post("/api/register", {"username": new_name(), "password": PASSWORD} | fields)


def login(client: Client, name: str, password: str = PASSWORD, **options: Any) -> httpx.Response:
    return client.post("/api/login", {"username": name, "password": password}, **options)


def bearer(server: Server, token: str) -> Client:
    return server.client(headers={"Authorization": f"Bearer {token}"})


# -- register, login, logout, me


def test_registering_answers_201_with_the_user_and_signs_in(server: Server) -> None:
    ann = server.client()
    answer = register(ann, username="Ann.B_c-" + secrets.token_hex(2), display_name="Ann")
    assert answer.status_code == 201
    user = answer.json()["user"]
    assert set(user) == {"id", "username", "display_name", "created_at"}
    assert user["display_name"] == "Ann"
    assert user["username"] == user["username"].lower()
    assert user["created_at"].endswith("Z")
    assert ann.get("/api/me").json() == {"user": user}


def test_who_gives_no_display_name_is_called_as_the_username_was_written(server: Server) -> None:
    name = f"Ann-{secrets.token_hex(4)}"
    assert register(server.client(), username=name).json()["user"]["display_name"] == name


def test_login_takes_the_username_in_any_case_and_answers_200(server: Server) -> None:
    ann = server.user("ann")
    again = server.client()
    answer = login(again, ann.name.upper())
    assert (answer.status_code, answer.json()) == (200, {"user": ann.me})
    assert again.get("/api/me").json() == {"user": ann.me}


@pytest.mark.parametrize("password", ["wrong horse", "", PASSWORD + "x", "x" * 200])
def test_a_wrong_password_is_401_invalid_credentials(server: Server, password: str) -> None:
    ann, bob = server.user("ann"), server.client()
    answer = login(bob, ann.name, password)
    assert refusal(answer) == (401, "invalid_credentials")
    assert "set-cookie" not in answer.headers
    assert refusal(bob.get("/api/me")) == (401, "unauthenticated")


@pytest.mark.parametrize("name", ["nobody", "", "a b", "ÿ", "n" * 200])
def test_an_unknown_user_is_401_invalid_credentials(server: Server, name: str) -> None:
    assert refusal(login(server.client(), name)) == (401, "invalid_credentials")


def test_a_nul_is_refused_at_login_too(server: Server) -> None:
    for name, password in (("ann\0", PASSWORD), ("ann", "a\0" * 8)):
        assert refusal(login(server.client(), name, password)) == (422, "validation_failed")


def test_logging_out_answers_204_and_ends_every_copy_of_the_cookie(server: Server) -> None:
    ann = server.user("ann")
    copy = server.client(headers={"Cookie": ann.cookies})
    assert copy.get("/api/me").status_code == 200
    answer = ann.post("/api/logout")
    assert (answer.status_code, answer.content) == (204, b"")
    assert refusal(copy.get("/api/me")) == (401, "unauthenticated")
    assert refusal(ann.get("/api/me")) == (401, "unauthenticated")
    assert refusal(copy.post("/api/logout")) == (401, "unauthenticated")


def test_logging_out_leaves_the_users_other_sessions_alone(server: Server) -> None:
    ann, phone = server.user("ann"), server.client()
    login(phone, ann.name)
    ann.post("/api/logout")
    assert phone.get("/api/me").status_code == 200


def test_a_logout_in_one_process_is_heard_in_another(server: Server) -> None:
    with server.another() as other:
        ann = server.user("ann")
        copy = other.client(headers={"Cookie": ann.cookies})
        assert copy.get("/api/me").status_code == 200  # and now the other process has cached it
        ann.post("/api/logout")
        harness.eventually(lambda: copy.get("/api/me").status_code == 401, within_s=1)


def test_a_cookie_that_was_tampered_with_is_no_session(server: Server) -> None:
    name, _, value = server.user("ann").cookies.partition("=")
    for forged in (value[:-1], value + "x", "x" + value[1:], value.partition(".")[0], "", "ÿ"):
        client = server.client(headers={"Cookie": f"{name}={forged}".encode()})
        assert refusal(client.get("/api/me")) == (401, "unauthenticated"), forged


def test_a_client_that_goes_away_within_a_query_leaves_no_old_snapshot(database: str) -> None:
    """SQL pools its connections; a cancelled SELECT must not pin what the next caller sees."""

    async def count_stale_reads() -> int:
        await store.migrate(database)
        store.open_database(database, pool=1)
        ann = await store.run(accounts.add_account, "ann", "Ann", "hash")
        for number in range(100):
            await store.run(accounts.add_session, ann.id, f"old {number}", "token", "")
        with harness.sql(database) as other:
            stale = 0
            for number in range(100):
                reading = asyncio.create_task(store.run(accounts.tokens, ann.id))
                await asyncio.sleep(0)  # it waits for SQL in one step or another
                await asyncio.sleep(number * 5e-6)
                reading.cancel()
                await asyncio.wait([reading])
                name = f"new {number}"
                other.execute(
                    "INSERT INTO session (account_id, secret_hash, kind, name, created_at)"  # noqa: S608
                    f" VALUES ({ann.id}, '{name}', 'cookie', '', '')"
                )
                stale += not await store.run(accounts.sessions, [name])
        await store.close_database()
        return stale

    assert asyncio.run(count_stale_reads()) == 0


def test_a_client_that_goes_away_while_sql_is_locked_does_not_lock_it(tmp_path: Path) -> None:
    """A cancelled BEGIN must not come true in a connection that lies in the pool."""
    url = f"sqlite:///{tmp_path / 'quartchat.db'}"

    async def write_after_a_cancelled_write() -> None:
        await store.migrate(url)
        store.open_database(url, pool=2)
        ann = await store.run(accounts.add_account, "ann", "Ann", "hash")
        other = sqlite3.connect(tmp_path / "quartchat.db", isolation_level=None, timeout=1)
        with closing(other):
            other.execute("BEGIN IMMEDIATE")
            writing = asyncio.create_task(
                store.run(accounts.add_session, ann.id, "one", "cookie", "")
            )
            await asyncio.sleep(0.1)  # it waits for the lock
            writing.cancel()
            await asyncio.wait([writing])
            other.execute("ROLLBACK")
            await asyncio.sleep(0.3)
            try:
                other.execute("BEGIN IMMEDIATE")
                other.execute("ROLLBACK")
                await store.run(accounts.add_session, ann.id, "two", "cookie", "")
            finally:
                await store.close_database()

    asyncio.run(write_after_a_cancelled_write())


# -- names and passwords


def test_a_username_is_taken_whatever_its_case(server: Server) -> None:
    ann = server.user("ann")
    for name in (ann.name, ann.name.upper(), ann.name.title()):
        answer = register(server.client(), username=name)
        assert refusal(answer) == (409, "username_taken")
        assert answer.json()["errors"][0]["field"] == "username"


def test_of_many_who_register_one_name_at_once_one_gets_it(server: Server) -> None:
    name = new_name()
    names = [name, name.upper()] * 6
    clients = [server.client() for _ in names]
    with ThreadPoolExecutor(len(names)) as pool:
        answers = list(pool.map(lambda c, n: register(c, username=n), clients, names))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 11


@pytest.mark.parametrize("name", ["abc", "a" * 32, "0-9", "_._", "ABC", "..."])
def test_good_usernames(server: Server, name: str) -> None:
    assert register(server.client(), username=name).status_code in {201, 409}


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ab",
        "a" * 33,
        "a b c",
        "ann\n",
        "änn",
        "ann@home",
        "ann/",
        "a\0bc",
        "\u017f" * 3,
        "٣٣٣",
        None,
        7,
    ],
)
def test_bad_usernames(server: Server, name: Any) -> None:
    answer = register(server.client(), username=name)
    assert refusal(answer) == (422, "validation_failed")
    assert [error["field"] for error in answer.json()["errors"]] == ["username"]


@pytest.mark.parametrize("name", ["\u200b", "\u202e"])
def test_a_name_that_nobody_sees_is_refused(server: Server, name: str) -> None:
    body = {"username": secrets.token_hex(6), "password": PASSWORD, "display_name": name}
    assert refusal(server.client().post("/api/register", body)) == (422, "validation_failed")


@pytest.mark.parametrize("password", ["a" * 8, "a" * 72, "é" * 4, "é" * 36, "😀" * 2, "😀" * 18])
def test_a_password_has_8_to_72_bytes_and_all_of_them_count(server: Server, password: str) -> None:
    ann = register(server.client(), password=password).json()["user"]["username"]
    assert login(server.client(), ann, password).status_code == 200
    assert refusal(login(server.client(), ann, password[:-1])) == (401, "invalid_credentials")


@pytest.mark.parametrize(
    "password", ["", "a" * 7, "a" * 73, "aé" * 24 + "a", "é" * 37, "😀" * 18 + "a", "a\0" * 8, None]
)
def test_bad_passwords(server: Server, password: Any) -> None:
    answer = register(server.client(), password=password)
    assert refusal(answer) == (422, "validation_failed")
    assert [error["field"] for error in answer.json()["errors"]] == ["password"]


@pytest.mark.parametrize(
    ("password", "told"),
    [("a" * 7, "At least 8 characters"), ("a" * 73, "At most 72 "), ("é" * 37, "At most 72 bytes")],
)
def test_a_bad_password_is_told_which_bound_it_breaks(
    server: Server, password: str, told: str
) -> None:
    answer = register(server.client(), password=password)
    assert answer.json()["detail"].startswith(told)


@pytest.mark.parametrize("name", ["", "x" * 65, "a\0b", "a\nb", 7])
def test_bad_display_names(server: Server, name: Any) -> None:
    answer = register(server.client(), display_name=name)
    assert refusal(answer) == (422, "validation_failed")
    assert [error["field"] for error in answer.json()["errors"]] == ["display_name"]


def test_an_unknown_user_takes_as_long_as_a_wrong_password(start_server: StartServer) -> None:
    server = start_server(QUARTCHAT_BCRYPT_ROUNDS="10")
    ann, bob = server.user("ann"), server.client()
    took: dict[str, list[float]] = {ann.name: [], "nobody": []}
    for _ in range(7):
        for name, times in took.items():
            started = time.perf_counter()
            assert login(bob, name, "wrong horse").status_code == 401
            times.append(time.perf_counter() - started)
    known, unknown = (statistics.median(times) for times in took.values())
    assert 0.6 < unknown / known < 1.6


# -- tokens


def test_a_token_is_shown_once_and_listed_without_its_secret(server: Server) -> None:
    ann = server.user("ann")
    answer = ann.post("/api/tokens", {"name": "a robot"})
    assert answer.status_code == 201
    token = answer.json()
    assert set(token) == {"id", "name", "token"}
    listed = ann.get("/api/tokens")
    assert [(row["id"], row["name"]) for row in listed.json()["tokens"]] == [
        (token["id"], "a robot")
    ]
    assert token["token"] not in listed.text


def test_a_bearer_token_works_everywhere(server: Server) -> None:
    ann = server.user("ann")
    robot = bearer(server, ann.post("/api/tokens", {"name": "robot"}).json()["token"])
    assert robot.get("/api/me").json() == {"user": ann.me}
    room = robot.room()
    with robot.stream(f"/api/chat/rooms/{room['id']}/events") as events:
        robot.say(room, "beep")
        assert events.next("message")["author"] == ann.me
    assert [r["id"] for r in ann.get("/api/chat/rooms", joined=True).json()["rooms"]] == [
        room["id"]
    ]


def test_a_revoked_token_gets_401_and_the_others_go_on(server: Server) -> None:
    ann = server.user("ann")
    one, two = (ann.post("/api/tokens", {"name": "robot"}).json() for _ in range(2))
    robot = bearer(server, one["token"])
    assert robot.get("/api/me").status_code == 200
    answer = ann.delete(f"/api/tokens/{one['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert refusal(robot.get("/api/me")) == (401, "unauthenticated")
    assert [row["id"] for row in ann.get("/api/tokens").json()["tokens"]] == [two["id"]]
    assert bearer(server, two["token"]).get("/api/me").status_code == 200
    assert refusal(ann.delete(f"/api/tokens/{one['id']}")) == (404, "not_found")


def test_nobody_revokes_or_sees_anothers_token(server: Server) -> None:
    ann, bob = server.user("ann"), server.user("bob")
    token = ann.post("/api/tokens", {"name": "robot"}).json()
    assert refusal(bob.delete(f"/api/tokens/{token['id']}")) == (404, "not_found")
    assert bob.get("/api/tokens").json() == {"tokens": []}
    assert bearer(server, token["token"]).get("/api/me").status_code == 200


@pytest.mark.parametrize("name", ["", "x" * 65, "a\0b", None])
def test_bad_token_names(server: Server, name: Any) -> None:
    assert refusal(server.user("ann").post("/api/tokens", {"name": name})) == (
        422,
        "validation_failed",
    )


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer x", "Basic YW5uOnB3", "x", "Bearer \xff", "bearer,"]
)
def test_an_authorization_that_is_no_token_of_ours_is_401(server: Server, header: str) -> None:
    answer = server.client().http.get(
        "/api/me", headers={b"Authorization": header.strip().encode("latin-1")}
    )
    assert refusal(answer) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_an_authorization_header_goes_before_the_cookie(server: Server) -> None:
    answer = server.user("ann").http.get("/api/me", headers={"Authorization": "Bearer x"})
    assert refusal(answer) == (401, "unauthenticated")


# -- the cookie's flags, proxies, rate limits


@pytest.fixture(scope="module")
def proxied(valkey: harness.Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Behind a proxy on this machine, with rate limits."""
    directory = tmp_path_factory.getbasetemp() / "proxied"
    with Server(
        valkey.url(keep=True),
        directory,
        QUARTCHAT_RATE_LIMITS="on",
        FORWARDED_ALLOW_IPS="10.0.0.0/8,127.0.0.1",
    ) as server:
        yield server


def at(address: str) -> dict[str, Any]:
    """Options of a request that the proxy passes on from an address."""
    return {"headers": {"X-Forwarded-For": address}}


def flags(answer: httpx.Response) -> set[str]:
    _, *found = answer.headers["set-cookie"].split("; ")
    return {flag for flag in found if not flag.startswith(("Max-Age", "Expires"))}


def test_the_cookie_is_httponly_and_lax(server: Server) -> None:
    ann = server.user("ann")
    answer = login(server.client(), ann.name)
    assert flags(answer) == {"HttpOnly", "SameSite=Lax", "Path=/"}
    assert "set-cookie" not in ann.get("/api/me").headers


def test_the_cookie_is_secure_where_a_trusted_proxy_speaks_https(proxied: Server) -> None:
    body = {"username": new_name(), "password": PASSWORD}
    https, http = {"X-Forwarded-Proto": "https"}, {"X-Forwarded-Proto": "http"}
    assert "Secure" in flags(proxied.client().post("/api/register", body, headers=https))
    assert "Secure" in flags(proxied.client().post("/api/login", body, headers=https))
    assert "Secure" not in flags(proxied.client().post("/api/login", body, headers=http))


def test_nobody_else_is_believed_about_https(server: Server) -> None:
    ann = server.user("ann")
    answer = login(server.client(), ann.name, headers={"X-Forwarded-Proto": "https"})
    assert "Secure" not in flags(answer)


def limited(answer: httpx.Response, up_to_s: int) -> bool:
    assert refusal(answer) == (429, "rate_limited")
    return 1 <= int(answer.headers["retry-after"]) <= up_to_s


def test_a_name_may_be_tried_ten_times_wherever_from(proxied: Server) -> None:
    ann, name = proxied.client(), new_name()
    register(ann, username=name)
    for number in range(10):
        answer = login(ann, name, "wrong horse", **at(f"1.1.1.{number}"))
        assert refusal(answer) == (401, "invalid_credentials")
    assert limited(login(ann, name.upper(), **at("1.1.1.99")), 300)
    assert login(ann, new_name(), **at("1.1.1.1")).status_code == 401


def test_an_address_may_try_sixty_names(proxied: Server) -> None:
    ann = proxied.client()
    for _ in range(60):
        assert login(ann, new_name(), **at("2.2.2.2")).status_code == 401
    assert limited(login(ann, new_name(), **at("2.2.2.2")), 300)
    # What stands before the address that the trusted proxy saw is made up by the client.
    assert limited(login(ann, new_name(), **at("3.3.3.3, 2.2.2.2")), 300)
    assert limited(login(ann, new_name(), **at("3.3.3.3, 2.2.2.2, 10.1.1.1")), 300)
    assert login(ann, new_name(), **at("3.3.3.3")).status_code == 401


def test_registering_is_limited_by_name_and_by_address(proxied: Server) -> None:
    ann, name = proxied.client(), new_name()
    body = {"username": name, "password": PASSWORD}
    for number in range(10):
        ann.post("/api/register", body, **at(f"4.4.4.{number}"))
    assert limited(ann.post("/api/register", body, **at("4.4.4.99")), 3600)
    for _ in range(30):
        answer = ann.post("/api/register", body | {"username": new_name()}, **at("5.5.5.5"))
        assert answer.status_code == 201
    another = body | {"username": new_name()}
    assert limited(ann.post("/api/register", another, **at("5.5.5.5")), 3600)
    assert ann.post("/api/register", another, **at("6.6.6.6")).status_code == 201


def test_who_is_no_trusted_proxy_cannot_change_the_address(start_server: StartServer) -> None:
    ann = start_server(QUARTCHAT_RATE_LIMITS="on").client()
    names = ("X-Forwarded-For", "X-Real-Ip", "Remote-Addr", "Forwarded")
    for number in range(60):
        headers = dict.fromkeys(names, f"7.7.7.{number}")
        assert login(ann, new_name(), headers=headers).status_code == 401
    assert limited(login(ann, new_name(), headers=dict.fromkeys(names, "8.8.8.8")), 300)
