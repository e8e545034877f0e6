"""Nobody gets in without what opens a door, past its scope, or into another tenant: every route, every method.

A route that is not in ``MATRIX`` (SCIM) or ``PAGES`` (Flask) fails here: whoever adds one says who may use it.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from werkzeug.test import TestResponse

from scim_server.api.routes import EVERY_ROUTE
from scim_server.directory import connections, links, sso_connections, tenants, tokens
from scim_server.directory.actor import at_command_line
from scim_server.directory.sso_connections import SsoSettings
from scim_server.directory.store.transaction import write
from tests.running import ENTERPRISE, ERROR, GROUP, PATCH_OP, SEARCH, USER, Answer, House, Scim
from tests.sso import credentials

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


def ask(scim: Scim, method: str, path: str, headers: Mapping[str, str] | None = None) -> Answer:
    """A request that would go through, were it allowed."""
    kind, name = (USER, "userName") if path.startswith("/Users") else (GROUP, "displayName")
    body: dict[str, Any] = {"schemas": [kind], name: "new"}
    if path.endswith(".search"):
        body = {"schemas": [SEARCH]}
    elif method == "PATCH":
        body = {"schemas": [PATCH_OP], "Operations": [{"op": "add", "path": "externalId", "value": "x"}]}
    return scim.request(method, path, None if method in ("GET", "DELETE") else body, headers=headers)


def everything(scim: Scim) -> bytes:
    return scim.get("/Users").body + scim.get("/Groups").body


def test_every_route_is_in_the_matrix() -> None:
    served = {
        "/" + "/".join(route.path): {method: scope for method, (_, scope) in route.methods.items()}
        for route in EVERY_ROUTE
    }
    assert served == MATRIX


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


def test_what_lets_a_person_in_opens_nothing_of_scim(house: House) -> None:
    street = Street(house)
    before = everything(street.scim)
    for path, method in EVERY:
        for who in (PERSON, PERSONAL_TOKEN, STRANGER):
            headers = street.headers(who)
            answer = ask(Scim(house.app.wsgi_app, None), method, path.replace("*", street.ada), headers)
            assert (answer.status, answer.json["schemas"]) == (401, [ERROR]), (who, method, path)
    assert everything(street.scim) == before


# -------------------------------------------------------------------------------------------------- pages

NOBODY, PERSON, SCIM_TOKEN, PERSONAL_TOKEN, STRANGER = WHO = (
    "nobody", "a person with a session", "a SCIM token", "a personal token", "a person of another tenant",
)  # fmt: skip
OPEN = (200,) * 5
# Each route of Flask -> what each of WHO gets there, in this order, when the request is otherwise in order.
PAGES: dict[str, dict[str, tuple[int, ...]]] = {
    "/healthz": {"GET": OPEN},
    "/readyz": {"GET": OPEN},
    "/metrics": {"GET": OPEN},  # from this machine
    "/login": {"GET": (200, 303, 200, 200, 303), "POST": (401,) * 5},  # a wrong password
    "/login/<connection>": {"GET": OPEN, "POST": (303,) * 5},
    "/login/confirm": {"GET": (400,) * 5, "POST": (400,) * 5},  # without a login that has come so far
    "/select-account": {"GET": (400,) * 5, "POST": (400,) * 5},
    "/sso/<connection>/callback": {"GET": (400,) * 5},
    "/sso/<connection>/backchannel-logout": {"POST": (400,) * 5},  # opened by the provider's signature alone
    "/sso/<connection>/global-token-revocation": {"POST": (401,) * 5},
    "/password/<token>": {"GET": OPEN, "POST": (303,) * 5},  # opened by the link alone
    "/logout": {"GET": OPEN, "POST": (303,) * 5},
    "/logout/done": {"GET": OPEN},
    "/me": {"GET": (401, 200, 401, 401, 200)},
    "/me/sessions": {"POST": (401, 303, 401, 401, 303)},
    "/auth/verify": {"GET": (401, 200, 401, 200, 403)},
    "/auth/verify/<tenant>": {"GET": (401, 200, 401, 200, 403)},
    "/login-assets/<name>": {"GET": OPEN},
}
EVERY_PAGE = [(path, method) for path, methods in PAGES.items() for method in methods]
NO_FORM = {"/sso/<connection>/backchannel-logout", "/sso/<connection>/global-token-revocation"}
FORMS = [path for path, method in EVERY_PAGE if method == "POST" and path not in NO_FORM]
# Where Ada's name is read, and by whom; nowhere else, and by nobody else.
SHOWN = {
    ("/me", "GET"): {PERSON},
    ("/logout", "GET"): {PERSON},
    ("/auth/verify", "GET"): {PERSON, PERSONAL_TOKEN},
    ("/auth/verify/<tenant>", "GET"): {PERSON, PERSONAL_TOKEN},
    ("/login", "POST"): set(WHO),  # who typed it reads it again
    ("/password/<token>", "GET"): set(WHO),
}


class Street:
    """Ada, whom everybody is curious about, a stranger with a session of another tenant, and what each carries."""

    NAME = "ada-the-secret"

    def __init__(self, house: House) -> None:
        self.house = house
        self.scim, abroad = house.client(), house.client(tenant="strangers")
        self.ada, self.eve = self.scim.user(self.NAME)["id"], abroad.user("eve")["id"]
        self.scim.group("crew-the-secret", self.ada)
        self.abroad = next(each.id for each in tenants.every(house.database) if each.name == "strangers")
        vault = house.app.extensions["scim_server.login"].vault
        with write(house.database, at_command_line(house.tenant.id)) as tx:
            held = connections.ensure(tx, "hub")
            self.connection = sso_connections.create(
                tx, held, "github", issuer="https://github.com", client_id="us", client_secret=vault.seal("x"),
                settings=SsoSettings(),
            )  # fmt: skip

    def headers(self, who: str) -> dict[str, str]:
        """What somebody carries; made anew each time, for some requests end what there is."""
        ours, database = self.house.tenant.id, self.house.database
        if who == PERSON:
            return {"Cookie": f"scim_session={credentials.session(database, ours, self.ada)}"}
        if who == STRANGER:
            return {"Cookie": f"scim_session={credentials.session(database, self.abroad, self.eve)}"}
        if who == PERSONAL_TOKEN:
            return {"Authorization": f"Bearer {credentials.personal_token(database, ours, self.ada)}"}
        return {"Authorization": f"Bearer {self.scim.token}"} if who == SCIM_TOKEN else {}

    def ask(self, who: str, method: str, path: str, *, form: bool = True, **more: str) -> TestResponse:
        """A request that would go through, were it allowed; without ``form`` the form's token is missing."""
        browser, headers = self.house.app.test_client(), self.headers(who)
        if cookie := headers.pop("Cookie", ""):
            browser.set_cookie(*cookie.split("="))
        fields = {"which": "others", "username": self.NAME, "password": "seven-otters-juggle-violet-lamps"}
        if method == "POST" and form:
            found = re.search(r'name="csrf_token" value="([^"]+)"', browser.get(f"/login/{self.connection.id}").text)
            assert found is not None
            fields["csrf_token"] = found[1]
        data = fields if method == "POST" else None
        return browser.open(self.real(path), method=method, headers=headers | more, data=data)

    def real(self, path: str) -> str:
        """A path with everything in it that a route leaves open."""
        if "<token>" in path:
            with write(self.house.database, at_command_line(self.house.tenant.id)) as tx:
                path = path.replace("<token>", links.issue(tx, self.ada)[0])
        known = {"<connection>": self.connection.id, "<tenant>": tenants.DEFAULT, "<name>": "login.css"}
        for name, value in known.items():
            path = path.replace(name, value)
        assert "<" not in path
        return path


@pytest.fixture
def street(house: House) -> Street:
    return Street(house)


def test_every_page_is_in_the_matrix(house: House) -> None:
    served: dict[str, set[str]] = {}
    for rule in house.app.url_map.iter_rules():
        served.setdefault(rule.rule, set()).update(set(rule.methods or ()) - {"HEAD", "OPTIONS"})
    assert served == {path: set(methods) for path, methods in PAGES.items()}


@pytest.mark.parametrize(("path", "method"), EVERY_PAGE)
def test_a_page_is_for_those_of_the_matrix(street: Street, path: str, method: str) -> None:
    for who, wanted in zip(WHO, PAGES[path][method], strict=True):
        answer = street.ask(who, method, path)
        assert answer.status_code == wanted, (who, answer.text)
        told = answer.text + str(answer.headers)
        assert (Street.NAME in told) == (who in SHOWN.get((path, method), ())), (who, told)
        if who not in SHOWN.get((path, method), ()):
            assert "crew-the-secret" not in told
        assert street.house.tenant.id not in told
        if method == "GET":
            with street.ask(who, "HEAD", path) as head:
                assert head.status_code == wanted
        answer.close()  # a style sheet is a file


def test_every_other_method_is_for_nobody(street: Street) -> None:
    for path, methods in PAGES.items():
        for method in {*METHODS} - {*methods}:
            assert street.ask(PERSON, method, path).status_code == 405, (method, path)


@pytest.mark.parametrize("path", FORMS)
def test_a_form_is_taken_from_our_own_pages_only(street: Street, path: str) -> None:
    assert street.ask(PERSON, "POST", path, form=False).status_code == 400
    assert street.ask(PERSON, "POST", path, Origin="https://evil.example").status_code == 400


def test_metrics_are_not_for_other_machines(house: House) -> None:
    browser = house.app.test_client()
    assert browser.get("/metrics", environ_overrides={"REMOTE_ADDR": "192.0.2.1"}).status_code == 403
    assert browser.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 403


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
