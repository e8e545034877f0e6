"""Requests to tell to two servers: each story starts with nothing and is a list of steps.

``{ada}`` stands for the id of what an earlier step called ``ada``, ``{ada.version}`` for its version.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.running import ENTERPRISE, GROUP, PATCH_OP, SEARCH, USER

Json = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One request. ``differs`` gives status or scimType that we and the reference answer, ``why`` the reason."""

    method: str
    path: str
    body: Any = None
    name: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    differs: tuple[int, int] | tuple[str, str] | None = None
    why: str = ""


def post(path: str, body: Any, name: str = "", **rest: Any) -> Step:
    return Step("POST", path, body, name, **rest)


def get(path: str, **rest: Any) -> Step:
    return Step("GET", path, **rest)


def put(path: str, body: Any, **rest: Any) -> Step:
    return Step("PUT", path, body, **rest)


def patch(path: str, *operations: Json, **rest: Any) -> Step:
    """The reference answers 204 where the client names no attributes, we 200 with a user: so all are named."""
    named = path if "?" in path else f"{path}?excludedAttributes=nickName"
    return Step("PATCH", named, {"schemas": [PATCH_OP], "Operations": list(operations)}, **rest)


def delete(path: str, **rest: Any) -> Step:
    return Step("DELETE", path, **rest)


def user(name: str, /, **more: Any) -> Json:
    schemas = [USER, ENTERPRISE] if ENTERPRISE in more else [USER]
    return {"schemas": schemas, "userName": name, "active": True, **more}


def group(name: str, *members: str) -> Json:
    return {"schemas": [GROUP], "displayName": name, "members": [{"value": f"{{{each}}}"} for each in members]}


WORK = {"value": "ada@work.example", "type": "work", "primary": True}
HOME = {"value": "ada@home.example", "type": "home"}
ADA = user("Ada", displayName="Ada L.", name={"givenName": "Ada", "familyName": "Lovelace"}, emails=[WORK, HOME])
FULL = post("/Users", {**ADA, "schemas": [USER, ENTERPRISE], ENTERPRISE: {"department": "Engines"}}, "ada")
FOUR = [
    post("/Users", user("ada", title="B", emails=[WORK]), "ada"),
    post("/Users", user("Bob", title="a", active=False), "bob"),
    post("/Users", user("cy", emails=[HOME]), "cy"),
    post("/Users", user("dee", title="50%_", name={"familyName": "Z"}), "dee"),
]


def replace(path: str, value: Any) -> Json:
    return {"op": "replace", "path": path, "value": value}


def add(path: str, value: Any) -> Json:
    return {"op": "add", "path": path, "value": value}


def remove(path: str) -> Json:
    return {"op": "remove", "path": path}


def _listing(*queries: str) -> list[Step]:
    return [*FOUR, *(get(f"/Users?{query}") for query in queries)]


SYNTAX = "no message of this kind at all (RFC 7644 §3.12 invalidSyntax), before it is one with a wrong value"
SINGULAR = "one value of a list is forgiven (OneLogin); the reference follows the letter"

STORIES: dict[str, list[Step]] = {
    "create and get": [FULL, get("/Users/{ada}")],
    "a name in another case is taken": [FULL, post("/Users", user("ADA"))],
    "a name is free after deletion": [FULL, delete("/Users/{ada}"), post("/Users", user("ada"), "other")],
    "create without a name": [post("/Users", {"schemas": [USER], "displayName": "x"})],
    "create with an empty body": [post("/Users", {}, differs=("invalidSyntax", "invalidValue"), why=SYNTAX)],
    "create with wrong types": [
        post("/Users", user("x", emails=5)),
        post("/Users", user("x", name="Ada")),
        post("/Users", user("x", title=["x"])),
        post("/Users", user("x", active="perhaps")),
    ],
    "create with two primaries": [
        post("/Users", user("x", emails=[WORK, {**HOME, "primary": True}]), differs=(201, 400),
             why="the first keeps it (PingFederate); a strict connection refuses too"),
    ],
    "create with null and empty lists": [
        post("/Users", user("x", title=None, emails=[], name=None), "x"), get("/Users/{x}"),
    ],
    "read-only attributes are ignored": [
        post("/Users", user("x", id="mine", meta={"resourceType": "Group"}, groups=[{"value": "g"}]), "x"),
        get("/Users/{x}"),
    ],
    "a password is never shown": [post("/Users", user("x", password="secret"), "x"), get("/Users/{x}")],
    "get what is not there": [get("/Users/nobody"), get("/Groups/nobody"), get("/Nothing"), delete("/Users/nobody")],
    "write to what is not there": [
        put("/Users/nobody", user("x")), patch("/Users/nobody", replace("title", "x")),
        put("/Groups/nobody", group("x")),
    ],
    "a body that is not JSON": [Step("POST", "/Users", body) for body in (b"{", b"[]", b"")],
    "put replaces": [FULL, put("/Users/{ada}", user("Ada", title="Countess")), get("/Users/{ada}")],
    "put renames": [FULL, put("/Users/{ada}", user("Augusta")), get("/Users?filter=userName eq \"augusta\"")],
    "put takes no taken name": [*FOUR[:2], put("/Users/{bob}", user("ADA"))],
    "put without a name": [FULL, put("/Users/{ada}", {"schemas": [USER]})],
    "patch single values": [
        FULL, patch("/Users/{ada}", replace("displayName", "A"), add("title", "Countess"), remove("name.givenName")),
        get("/Users/{ada}"),
    ],
    "patch without a path": [
        FULL, patch("/Users/{ada}", {"op": "replace", "value": {"displayName": "A", "name": {"givenName": "B"}}}),
        get("/Users/{ada}"),
    ],
    "patch the extension": [
        FULL, patch("/Users/{ada}", replace(f"{ENTERPRISE}:department", "Mills"), add(f"{ENTERPRISE}:costCenter", "1")),
        patch("/Users/{ada}", remove(ENTERPRISE)), get("/Users/{ada}"),
    ],
    "patch selected values": [
        FULL, patch("/Users/{ada}", replace('emails[type eq "work"].value', "w@x.example")),
        patch("/Users/{ada}", remove('emails[type eq "home"]')), get("/Users/{ada}"),
    ],
    "patch adds to a list once": [
        FULL,
        patch("/Users/{ada}", add("emails", [HOME, {"value": "x@x.example", "type": "other"}])), get("/Users/{ada}"),
    ],
    "patch moves primary": [
        FULL, patch("/Users/{ada}", replace('emails[type eq "home"].primary', True)), get("/Users/{ada}"),
    ],
    "patch replaces and empties a list": [
        FULL, patch("/Users/{ada}", replace("emails", [HOME])), patch("/Users/{ada}", replace("emails", [])),
        get("/Users/{ada}"),
    ],
    "patch is atomic": [
        FULL, patch("/Users/{ada}", replace("title", "x"), replace('emails[type eq "x" or type eq "y"].value', "x")),
        get("/Users/{ada}"),
    ],
    "patch where nothing matches": [
        FULL, patch("/Users/{ada}", remove('emails[type eq "other"]')),
        patch("/Users/{ada}", replace('emails[type sw "other"].value', "x")),
        patch("/Users/{ada}", replace('emails[type eq "other"].value', "o@x.example")), get("/Users/{ada}"),
    ],
    "patch takes no taken name": [*FOUR[:2], patch("/Users/{bob}", replace("userName", "ADA"))],
    "patch with faults": [
        FULL,
        patch("/Users/{ada}", {"op": "merge", "path": "title", "value": "x"}, differs=("invalidSyntax", "invalidValue"),
              why=SYNTAX),
        patch("/Users/{ada}", {"op": "remove"}),
        patch("/Users/{ada}", replace("id", "x")),
        patch("/Users/{ada}", remove("userName")),
        patch("/Users/{ada}", replace("emails[type eq", "x")),
        patch("/Users/{ada}", {"op": "replace", "path": "title"}),
        patch("/Users/{ada}", differs=("invalidSyntax", "invalidValue"), why=SYNTAX),
        patch("/Users/{ada}", replace("unknown", "x"), differs=(400, 200),
              why="a path that does not exist is a typing error; the tolerant reference drops it in silence"),
    ],
    "group with members": [
        *FOUR[:2], post("/Groups", group("Crew", "ada", "bob"), "crew"), get("/Groups/{crew}"),
    ],
    "group patched": [
        *FOUR, post("/Groups", group("Crew", "ada"), "crew"),
        patch("/Groups/{crew}", add("members", [{"value": "{bob}"}, {"value": "{cy}"}])),
        patch("/Groups/{crew}", remove('members[value eq "{ada}"]')),
        patch("/Groups/{crew}", remove('members[value eq "{dee}"]')),
        patch("/Groups/{crew}", replace("displayName", "Staff")), get("/Groups/{crew}"),
        patch("/Groups/{crew}", replace("members", [{"value": "{dee}"}])), get("/Groups/{crew}"),
        patch("/Groups/{crew}", {"op": "remove", "path": "members", "value": [{"value": "{dee}"}]}),
        get("/Groups/{crew}"),
        patch("/Groups/{crew}", add("members", [{"value": "{ada}"}])), patch("/Groups/{crew}", remove("members")),
        get("/Groups/{crew}"),
    ],
    "group patch without attributes is 204": [
        *FOUR[:1], post("/Groups", group("Crew"), "crew"),
        Step("PATCH", "/Groups/{crew}", {"schemas": [PATCH_OP], "Operations": [add("members", [{"value": "{ada}"}])]}),
        Step("PATCH", "/Users/{ada}", {"schemas": [PATCH_OP], "Operations": [replace("title", "x")]},
             differs=(200, 204), why="Okta reads the user back from the answer"),
    ],
    "group put": [
        *FOUR[:2], post("/Groups", group("Crew", "ada"), "crew"), put("/Groups/{crew}", group("Staff", "bob")),
        get("/Groups/{crew}"), get("/Groups/{crew}?excludedAttributes=members"),
    ],
    "group without a name": [post("/Groups", {"schemas": [GROUP]})],
    "group name taken": [
        post("/Groups", group("Crew"), "crew"),
        post("/Groups", group("CREW"), differs=(409, 201), why="Okta and Entra match groups by name"),
    ],
    "filters": _listing(*(
        f"sortBy=userName&filter={text}" for text in (
            'userName eq "ADA"', 'userName ne "ada"', 'userName sw "d"', 'userName co "e"', 'userName ew "Y"',
            'title co "%"', 'title co "_"', "title pr", 'title gt "a"', "active eq true", 'not (title eq "b")',
            'emails[type eq "work" and value co "ada"]', 'emails.type eq "home"', "emails pr", 'name.familyName eq "z"',
            'userName eq "ada" or userName eq "cy" and title pr',
            '(userName eq "ada" or userName eq "cy") and title pr',
            'userName eq "nobody"', 'meta.created gt "2000-01-01T00:00:00Z"', 'id eq "{bob}"',
        )
    )),
    "faulty filters": [
        *FOUR[:1],
        *(get(f"/Users?filter={text}") for text in (
            "userName", 'userName is "x"', 'userName eq "x', "userName eq x", '(userName eq "x"', "active gt true",
            'unknown eq "x"', 'meta.created gt "yesterday"', 'userName[value eq "x"]',
        )),
        get("/Users?filter=password pr", differs=(400, 200), why="nothing is told of a password"),
    ],
    "sorting": _listing(
        "sortBy=userName", "sortBy=userName&sortOrder=descending", "sortBy=emails.value&filter=emails pr",
        "sortBy=title",
        "sortBy=title&sortOrder=descending", "sortBy=name.familyName&filter=name pr",
    ),
    "sorting by what is not there": [
        get("/Users?sortBy=unknown", differs=("invalidValue", "invalidPath"), why="a path is what PATCH has"),
        get("/Users?sortBy=userName&sortOrder=up")],
    "paging": _listing(
        "sortBy=userName&count=3", "sortBy=userName&startIndex=2&count=2", "sortBy=userName&startIndex=4",
        "sortBy=userName&startIndex=9", "count=0", "sortBy=userName&startIndex=0&count=1", "sortBy=userName&count=-1",
    ),
    "paging by no number": [get("/Users?count=x"), get("/Users?startIndex=x")],
    "attributes": [
        FULL, *(get(f"/Users/{{ada}}?{query}") for query in (
            "attributes=userName", "attributes=emails.value", "attributes=name", "attributes=name.givenName,title",
            "excludedAttributes=emails", "excludedAttributes=userName,name.givenName", "excludedAttributes=id",
            f"attributes={ENTERPRISE}:department", f"excludedAttributes={ENTERPRISE}", f"attributes={ENTERPRISE}",
            "attributes=schemas", "attributes=unknown", "attributes=emails.display",
            f"excludedAttributes={ENTERPRISE}:department", "excludedAttributes=name.givenName,name.familyName",
            f"attributes={ENTERPRISE}:manager.value", "excludedAttributes=meta.resourceType,emails.value,emails.type",
        )),
        get("/Users/{ada}?attributes=userName&excludedAttributes=title"),
    ],
    "search by POST": [
        *FOUR,
        post("/Users/.search", {"schemas": [SEARCH], "filter": 'userName sw "a"', "attributes": ["userName"]}),
        post("/Users/.search", {"schemas": [SEARCH], "sortBy": "userName", "startIndex": 2, "count": 2}),
        post("/.search", {"schemas": [SEARCH], "filter": 'userName eq "cy"'}),
    ],
    "versions": [
        FULL,
        get("/Users/{ada}", headers={"If-None-Match": "{ada.version}"}),
        get("/Users/{ada}", headers={"If-None-Match": 'W/"999"'}),
        put("/Users/{ada}", user("Ada"), headers={"If-Match": 'W/"999"'}),
        patch("/Users/{ada}", replace("title", "x"), headers={"If-Match": 'W/"999"'}),
        delete("/Users/{ada}", headers={"If-Match": 'W/"999"'}),
        patch("/Users/{ada}", replace("title", "x"), headers={"If-Match": "{ada.version}"}),
        put("/Users/{ada}", user("Ada"), headers={"If-Match": "{ada.version}"}),
        put("/Users/{ada}", user("Ada"), headers={"If-Match": "*"}),
        delete("/Users/{ada}", headers={"If-Match": "*"}),
    ],
    "delete": [FULL, delete("/Users/{ada}"), get("/Users/{ada}"), delete("/Users/{ada}"), get("/Users")],
    "a deleted person is no member": [
        *FOUR[:2], post("/Groups", group("Crew", "ada", "bob"), "crew"), delete("/Users/{ada}"),
        get("/Users?sortBy=userName"),
    ],
    "one e-mail where a list belongs": [post("/Users", user("x", emails=WORK), differs=(201, 400), why=SINGULAR)],
    "methods that are not possible": [
        Step("PUT", "/Users", user("x")), Step("DELETE", "/Groups"), Step("POST", "/Schemas", {}),
        Step("PATCH", "/ServiceProviderConfig", {}),
    ],
    "discovery": [
        get("/Schemas/urn:nothing"), get("/ResourceTypes/Nothing"), get("/Schemas?filter=id pr"),
        get("/ResourceTypes?filter=id pr"),
    ],
}  # fmt: skip
