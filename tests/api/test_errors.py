"""Whatever goes wrong, the answer has one shape (RFC 7644 §3.12), and tells nothing of the inside."""

import sqlite3
from collections.abc import Callable

import pytest

from scim_server.api import errors
from scim_server.api.errors import HttpError
from scim_server.directory import users
from scim_server.directory.errors import AlreadyTaken, NotFound, Refused, Unavailable, VersionMismatch
from scim_server.protocol.errors import InvalidFilter
from tests.running import BASE, ERROR, USER, Answer, House, Scim

Ask = Callable[[Scim], Answer]
ADA = {"schemas": [USER], "userName": "ada"}
XML = {"Content-Type": "application/xml"}


def check(answer: Answer, status: int, scim_type: str | None = None) -> None:
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/scim+json"
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert answer.headers["x-request-id"]
    body = answer.json
    assert body["schemas"] == [ERROR]
    assert body["status"] == str(status)
    assert len(body["detail"]) > 10
    assert body.get("scimType") == scim_type
    assert set(body) <= {"schemas", "status", "detail", "scimType"}


def taken(scim: Scim) -> Answer:
    scim.user("ada")
    return scim.post("/Users", ADA | {"userName": "ADA"})


def stale(scim: Scim) -> Answer:
    made = scim.user("ada")
    return scim.put(f"/Users/{made['id']}", ADA, headers={"If-Match": 'W/"7"'})


def read_only(scim: Scim) -> Answer:
    made = scim.user("ada")
    return scim.patch(f"/Users/{made['id']}", {"op": "replace", "path": "id", "value": "x"})


ASKED: list[tuple[Ask, int, str | None]] = [
    (lambda scim: scim.post("/Users", b"{"), 400, "invalidSyntax"),
    (lambda scim: scim.post("/Users", {"schemas": [USER]}), 400, "invalidValue"),
    (lambda scim: scim.get("/Users", filter="userName"), 400, "invalidFilter"),
    (lambda scim: scim.patch("/Users/x", {"op": "add", "path": "a..b", "value": 1}), 400, "invalidPath"),
    (lambda scim: scim.patch("/Users/x", {"op": "remove"}), 400, "noTarget"),
    (read_only, 400, "mutability"),
    (lambda scim: scim.get("/Schemas", filter='id eq "x"'), 403, None),
    (lambda scim: scim.get("/Users/x"), 404, None),
    (lambda scim: scim.get("/Nowhere"), 404, None),
    (lambda scim: scim.get(""), 404, None),
    (lambda scim: scim.put("/Users", {}), 405, None),
    (lambda scim: scim.request("BREW", "/Users"), 405, None),
    (taken, 409, "uniqueness"),
    (stale, 412, None),
    (lambda scim: scim.post("/Users", b"x" * 1_048_577), 413, None),
    (lambda scim: scim.post("/Users", b"<user/>", headers=XML), 415, None),
    (lambda scim: scim.post("/Bulk", {}), 501, None),
    (lambda scim: scim.get("/Me"), 501, None),
]


@pytest.mark.parametrize(("ask", "status", "scim_type"), ASKED)
def test_every_error_has_the_one_shape(scim: Scim, ask: Ask, status: int, scim_type: str | None) -> None:
    check(ask(scim), status, scim_type)


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer x", "scs_scim_x", "Bearer é"])
def test_without_a_good_token_it_is_401_whatever_is_asked(house: House, authorization: str) -> None:
    stranger = Scim(house.app.wsgi_app, None)
    for method, path in (("GET", "/Users"), ("POST", "/Users"), ("GET", "/Nowhere"), ("PUT", "/Users"), ("GET", "/Me")):
        answer = stranger.request(method, path, b"{", headers={"Authorization": authorization})
        check(answer, 401)
        assert answer.headers["www-authenticate"].startswith('Bearer realm="scim"')


def test_a_read_only_token_is_403_on_writes(house: House) -> None:
    answer = house.client(scopes=("scim:read",)).post("/Users", ADA)
    check(answer, 403)
    assert "scim:write" in answer.json["detail"]


def test_405_tells_what_is_allowed(scim: Scim) -> None:
    assert scim.delete("/Users").headers["allow"] == "GET, POST"
    assert scim.post("/Users/x", {}).headers["allow"] == "DELETE, GET, PATCH, PUT"


def test_what_nobody_foresaw_is_500_and_tells_only_where_to_look(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    scim = house.client()
    made = scim.user("ada")

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a secret of the inside")

    monkeypatch.setattr(users, "patch", fail)
    answer = scim.patch(f"/Users/{made['id']}", {"op": "add", "path": "title", "value": "x"})
    check(answer, 500)
    assert answer.headers["x-request-id"] in answer.json["detail"]
    for word in (b"secret", b"ZeroDivision", b"Traceback", b".py"):
        assert word not in answer.body
    assert scim.get(f"/Users/{made['id']}").json == made


def test_a_database_that_cannot_be_reached_is_503_and_says_when_to_come_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise Unavailable("The database cannot be reached.") from sqlite3.OperationalError("disk I/O error at /var/db")

    scim = house.client()
    monkeypatch.setattr(users, "get", fail)
    answer = scim.get("/Users/x")
    check(answer, 503)
    assert answer.headers["retry-after"] == "1"
    assert b"/var/db" not in answer.body


def test_the_table_tells_each_error_of_the_directory_and_of_the_law() -> None:
    told = {
        NotFound("gone"): (404, ""),
        AlreadyTaken("userName", "taken"): (409, "uniqueness"),
        VersionMismatch("changed."): (412, ""),
        Refused("no"): (403, ""),
        Unavailable("busy"): (503, ""),
        InvalidFilter(detail="bad"): (400, "invalidFilter"),
        HttpError(429, "slowly", (("Retry-After", "3"),)): (429, ""),
    }
    for error, (status, scim_type) in told.items():
        found = errors.told(error)
        assert found is not None
        assert found[:2] == (status, scim_type)
    assert errors.told(KeyError("x")) is None
    assert errors.body(429, "", "slowly") == {"schemas": [ERROR], "status": "429", "detail": "slowly"}


@pytest.mark.parametrize("host", ["accounts.example", "127.0.0.1:8000", "[::1]:8000", "A_b.example"])
def test_an_answer_names_the_host_it_was_asked_at(scim: Scim, host: str) -> None:
    answer = scim.post("/Users", ADA, headers={"Host": host})
    assert answer.json["meta"]["location"] == f"http://{host}/scim/v2/Users/{answer.json['id']}"


@pytest.mark.parametrize("host", ['a"b', "a\\b", "a/b", "a b", "user@a", "", "a\u00e9"])
def test_a_host_that_is_none_is_not_repeated(scim: Scim, host: str) -> None:
    answer = scim.post("/Users", ADA, headers={"Host": host})
    assert answer.json["meta"]["location"] == f"{BASE.replace('scim.test', 'scim.test:80')}/Users/{answer.json['id']}"
    assert answer.headers["location"] == answer.json["meta"]["location"]
