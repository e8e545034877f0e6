"""Nobody gets in without a token, past its scope, or into another tenant: every route, every method.

A route that is not in ``MATRIX`` fails here: whoever adds one says who may use it.
"""

from collections.abc import Callable
from typing import Any

import pytest

from scim_server.api.routes import EVERY_ROUTE
from scim_server.directory import tokens
from tests.running import ENTERPRISE, ERROR, GROUP, PATCH_OP, SEARCH, USER, Answer, House, Scim

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
READ, WRITE, NEVER = "scim:read", "scim:write", None

RESOURCES = {"GET": READ, "POST": WRITE}
RESOURCE = {"GET": READ, "PUT": WRITE, "PATCH": WRITE, "DELETE": WRITE}
# The path of each route -> the scope that each of its methods asks for; every other method is 405.
MATRIX: dict[str, dict[str, str]] = {
    "/Users": RESOURCES,
    "/Users/*": RESOURCE,
    "/Users/.search": {"POST": READ},
    "/Groups": RESOURCES,
    "/Groups/*": RESOURCE,
    "/Groups/.search": {"POST": READ},
    "/.search": {"POST": READ},
    "/ServiceProviderConfig": {"GET": READ},
    "/ResourceTypes": {"GET": READ},
    "/ResourceTypes/*": {"GET": READ},
    "/Schemas": {"GET": READ},
    "/Schemas/*": {"GET": READ},
    "/Me": dict.fromkeys(METHODS, READ),
    "/Bulk": {"POST": WRITE},
}
EVERY = [(path, method) for path in MATRIX for method in METHODS]
# What Flask serves, to anybody: terse, and /metrics only to this machine or with its token.
PUBLIC = {"/healthz", "/readyz", "/metrics"}


def ask(scim: Scim, method: str, path: str) -> Answer:
    """A request that would go through, were it allowed."""
    kind, name = (USER, "userName") if path.startswith("/Users") else (GROUP, "displayName")
    body: dict[str, Any] = {"schemas": [kind], name: "new"}
    if path.endswith(".search"):
        body = {"schemas": [SEARCH]}
    elif method == "PATCH":
        body = {"schemas": [PATCH_OP], "Operations": [{"op": "add", "path": "externalId", "value": "x"}]}
    return scim.request(method, path, None if method in ("GET", "DELETE") else body)


def everything(scim: Scim) -> bytes:
    return scim.get("/Users").body + scim.get("/Groups").body


def test_every_route_is_in_the_matrix() -> None:
    served = {
        "/" + "/".join(route.path): {method: scope for method, (_, scope) in route.methods.items()}
        for route in EVERY_ROUTE
    }
    assert served == MATRIX


def test_flask_serves_only_what_is_public(house: House) -> None:
    rules = list(house.app.url_map.iter_rules())
    assert {rule.rule for rule in rules} == PUBLIC
    assert {method for rule in rules for method in rule.methods or ()} == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("path", sorted(PUBLIC))
def test_what_is_public_tells_nothing_of_anybody(house: House, path: str) -> None:
    scim = house.client()
    scim.user("ada-the-secret")
    scim.group("crew-the-secret")
    page = house.app.test_client().get(path)
    assert page.status_code == 200
    assert b"the-secret" not in page.data
    assert house.tenant.id.encode() not in page.data


def test_metrics_are_not_for_other_machines(house: House) -> None:
    browser = house.app.test_client()
    assert browser.get("/metrics", environ_overrides={"REMOTE_ADDR": "192.0.2.1"}).status_code == 403
    assert browser.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 403


@pytest.mark.parametrize(("path", "method"), EVERY)
def test_without_a_token_nothing_goes(house: House, path: str, method: str) -> None:
    scim = house.client()
    made = scim.user("ada")["id"] if path.startswith("/Users") else scim.group("crew")["id"]
    before = everything(scim)
    text = str(scim.token)
    forged = [None, "x", text[:-1], text[:-1] + ("A" if text[-1] != "A" else "B"), text.replace("scs_scim", "scs_user")]
    for token in forged:
        answer = ask(Scim(house.app.wsgi_app, token), method, path.replace("*", made))
        assert (answer.status, answer.json["schemas"], answer.json["status"]) == (401, [ERROR], "401")
        assert answer.headers["content-type"] == "application/scim+json"
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert everything(scim) == before


@pytest.mark.parametrize(("path", "method"), EVERY)
def test_a_token_goes_as_far_as_its_scopes(house: House, path: str, method: str) -> None:
    scim = house.client()
    made = scim.user("ada")["id"] if path.startswith("/Users") else scim.group("crew")["id"]
    wanted = MATRIX[path].get(method, NEVER)
    before = everything(scim)
    for scope in tokens.SCOPES:
        answer = ask(house.client(scopes=(scope,)), method, path.replace("*", made))
        if wanted is NEVER:
            assert answer.status == 405
            assert answer.headers["allow"] == ", ".join(sorted(MATRIX[path]))
        elif scope != wanted:
            assert (answer.status, answer.json["status"]) == (403, "403")
            assert wanted in answer.json["detail"]
        else:
            assert answer.status not in (401, 403, 405)
        if scope == READ:
            assert everything(scim) == before


# ------------------------------------------------------------------------------------------------ tenants

UNKNOWN = "01900000-0000-7000-8000-000000000000"


def told(answer: Answer, given: str) -> tuple[int, dict[str, str], bytes]:
    """An answer without what differs from request to request, and without the id that was asked for."""
    headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
    return answer.status, headers, answer.body.replace(given.encode(), b"<id>")


def put(scim: Scim, path: str, **attributes: Any) -> Answer:
    return scim.put(path, {"schemas": [GROUP if path.startswith("/Groups") else USER], **attributes})


def patch(scim: Scim, at: str, **operation: Any) -> Answer:
    return scim.patch(at, operation)


def own(scim: Scim, kind: str) -> str:
    """The path of what the stranger has itself."""
    found = scim.get(f"/{kind}").ids
    return f"/{kind}/{found[0]}"


Probe = Callable[[Scim, str], Answer]
PROBES: dict[str, Probe] = {
    "GET a user": lambda scim, each: scim.get(f"/Users/{each}"),
    "GET a group": lambda scim, each: scim.get(f"/Groups/{each}"),
    "PUT a user": lambda scim, each: put(scim, f"/Users/{each}", userName="mallory"),
    "PUT a group": lambda scim, each: put(scim, f"/Groups/{each}", displayName="mallory"),
    "PATCH a user": lambda scim, each: patch(scim, f"/Users/{each}", op="add", path="title", value="x"),
    "PATCH a group": lambda scim, each: patch(scim, f"/Groups/{each}", op="remove", path="members"),
    "PATCH with a condition": lambda scim, each: scim.patch(f"/Users/{each}", headers={"If-Match": 'W/"1"'}),
    "DELETE a user": lambda scim, each: scim.delete(f"/Users/{each}"),
    "DELETE a group": lambda scim, each: scim.delete(f"/Groups/{each}"),
    "filter by id": lambda scim, each: scim.get("/Users", filter=f'id eq "{each}"'),
    "filter by group": lambda scim, each: scim.get("/Users", filter=f'groups.value eq "{each}"'),
    "filter by manager": lambda scim, each: scim.get("/Users", filter=f'{ENTERPRISE}:manager eq "{each}"'),
    "filter by member": lambda scim, each: scim.get("/Groups", filter=f'members eq "{each}"'),
    "filter by everything but": lambda scim, each: scim.get("/Groups", filter=f'not (members.value eq "{each}")'),
    "search everywhere": lambda scim, each: scim.post(
        "/.search", {"schemas": [SEARCH], "filter": f'id eq "{each}" or members.value eq "{each}"'}
    ),
    "create with it as a member": lambda scim, each: scim.post(
        "/Groups", {"schemas": [GROUP], "displayName": "theirs?", "members": [{"value": each}]}
    ),
    "add it as a member": lambda scim, each: patch(
        scim, own(scim, "Groups"), op="add", path="members", value=[{"value": each}]
    ),
    "remove it as a member": lambda scim, each: patch(
        scim, own(scim, "Groups"), op="remove", path=f'members[value eq "{each}"]'
    ),
    "put it as a member": lambda scim, each: put(
        scim, own(scim, "Groups"), displayName="strangers", members=[{"value": each}]
    ),
}


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("kind", ["User", "Group"])
def test_another_tenants_id_is_no_different_from_an_unknown_one(house: House, probe: str, kind: str) -> None:
    ours, stranger = house.client(), house.client(tenant="strangers")
    ada = ours.user("ada", externalId="1")["id"]
    crew = ours.group("crew", ada, externalId="1")["id"]
    ours.user("grace", **{ENTERPRISE: {"manager": {"value": ada}}})
    stranger.group("strangers", stranger.user("mallory")["id"])
    before, theirs = everything(ours), everything(stranger)

    of_another = ada if kind == "User" else crew
    answer = PROBES[probe](stranger, of_another)
    assert told(answer, of_another) == told(PROBES[probe](stranger, UNKNOWN), UNKNOWN)
    assert b"crew" not in answer.body
    assert everything(ours) == before
    assert everything(stranger) == theirs


def test_another_tenants_user_as_manager_is_an_id_like_any_other(house: House) -> None:
    ours, stranger = house.client(), house.client(tenant="strangers")
    boss = ours.user("boss", displayName="Boss of ours")["id"]
    for name, given in (("one", boss), ("two", UNKNOWN)):
        made = stranger.user(name, **{ENTERPRISE: {"manager": {"value": given}}})
        shown = stranger.get(f"/Users/{made['id']}").json[ENTERPRISE]["manager"]
        assert shown == {"value": given, "$ref": f"http://scim.test/scim/v2/Users/{given}"}
    assert ours.get("/Users", filter=f'{ENTERPRISE}:manager eq "{boss}"').ids == []


def test_names_and_external_ids_are_free_in_every_tenant(house: House) -> None:
    ours, stranger = house.client(), house.client(tenant="strangers")
    for scim in (ours, stranger):
        ada = scim.user("ada", externalId="1")["id"]
        scim.group("crew", ada, externalId="1")
        assert scim.get("/Users").json["totalResults"] == scim.get("/Groups").json["totalResults"] == 1
        assert scim.get("/Users", filter='externalId eq "1"').ids == [ada]
