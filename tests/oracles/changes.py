"""Random PATCH requests (RFC 7644 §3.5.2) on random people, from a world so small that they meet."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.oracles.expressions import choice
from tests.running import ENTERPRISE, USER

Json = st.SearchStrategy[Any]

WORDS = choice(["a", "b", "A", "ß", "work"])
VALUES = {
    "emails": "value",
    "phoneNumbers": "value",
    "roles": "value",
    "entitlements": "value",
    "addresses": "locality",
}
NAME = st.fixed_dictionaries({}, optional={"givenName": WORDS, "familyName": WORDS, "formatted": WORDS})
MANAGER = st.fixed_dictionaries({"value": WORDS})
EXTENSION = st.fixed_dictionaries({}, optional={"department": WORDS, "costCenter": WORDS, "manager": MANAGER})
SINGLE: dict[str, Json] = {
    "userName": WORDS,
    "displayName": WORDS,
    "title": WORDS,
    "externalId": WORDS,
    "active": choice([True, False, "True", "false"]),
    "name": NAME,
    "name.givenName": WORDS,
    "name.familyName": WORDS,
    f"{ENTERPRISE}:department": WORDS,
    f"{ENTERPRISE}:manager": MANAGER,
    f"{ENTERPRISE}:manager.value": WORDS,
}


def _entry(name: str, **more: Json) -> Json:
    label = "region" if name == "addresses" else "display"
    subs = {VALUES[name]: WORDS, label: WORDS, "type": choice(["work", "home"]), **more}
    return st.fixed_dictionaries({}, optional=subs).filter(bool)


def _entries(name: str) -> Json:
    """Several values, all different, at most the first of them primary."""
    listed = st.lists(_entry(name), min_size=1, max_size=3, unique_by=lambda each: str(sorted(each.items())).casefold())
    return st.tuples(listed, st.booleans()).map(
        lambda drawn: [{**drawn[0][0], "primary": True}, *drawn[0][1:]] if drawn[1] else drawn[0]
    )


BODIES: Json = st.fixed_dictionaries(
    {"schemas": st.just([USER, ENTERPRISE]), "userName": WORDS},
    optional={
        **{name: SINGLE[name] for name in ("displayName", "title", "externalId", "active", "name")},
        **{name: _entries(name) for name in VALUES},
        ENTERPRISE: EXTENSION,
    },
)


def _operation(op: str, path: Json | None = None, value: Json | None = None) -> Json:
    given = {"op": choice([op, op.title(), op.upper()]), "path": path, "value": value}
    return st.fixed_dictionaries({name: each for name, each in given.items() if each is not None})


def _path(name: str) -> Json:
    full = name if name.startswith("urn:") else f"{USER}:{name}"
    return choice([name, name, name.lower(), name.upper(), full])


def _selecting(name: str, *behind: str) -> Json:
    """``emails[type eq "work"]`` and what stands behind it."""
    test = choice([
        *(f'{VALUES[name]} eq "{word}"' for word in ("a", "b", "A", "ß")),
        *('type eq "work"', 'type eq "home"', 'TYPE eq "WORK"', "type pr", "primary eq true", "primary eq false"),
        *(f'{VALUES[name]} ne "a"', f'{VALUES[name]} sw "a"', 'not (type eq "home")'),
    ])  # fmt: skip
    joined = st.tuples(test, choice([" and ", " and ", " or "]), test).map("".join)
    return st.tuples(_path(name), st.one_of(test, test, joined), choice(behind)).map(lambda t: f"{t[0]}[{t[1]}]{t[2]}")


def _writes(op: str) -> list[Json]:
    out = [_operation(op, _path(name), value) for name, value in SINGLE.items()]
    for name, value in VALUES.items():
        out += [
            _operation(op, _path(name), _entries(name)),
            _operation(op, _path(name), _entry(name)),
            _operation(op, _path(f"{name}.{value}"), WORDS),
            _operation(op, _path(f"{name}.type"), WORDS),
            _operation(op, _selecting(name, ""), _entry(name, primary=st.booleans())),
            _operation(op, _selecting(name, f".{value}", ".type"), WORDS),
            _operation(op, _selecting(name, ".primary"), st.booleans()),
        ]
    keys = {**SINGLE, **{name: _entries(name) for name in VALUES}, ENTERPRISE: EXTENSION, "unknown": WORDS}
    pathless = st.lists(choice(keys), min_size=1, max_size=3, unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries({key: keys[key] for key in chosen})
    )
    return out + [_operation(op, value=pathless)] * 12


def _removes() -> list[Json]:
    out = [_operation("remove", _path(name)) for name in [*SINGLE, ENTERPRISE, *VALUES] if name != "userName"]
    for name, value in VALUES.items():
        listed = st.lists(st.fixed_dictionaries({value: WORDS}), min_size=1, max_size=2)
        out += [
            _operation("remove", _path(f"{name}.type")),
            _operation("remove", _selecting(name, "", "", f".{value}", ".type", ".primary")),
            _operation("remove", _path(name), listed),
        ]
    return out


def _emptying() -> list[Json]:
    """A replace by null unassigns (RFC 7643 §2.5)."""
    nothing = st.none()
    plain = [name for name in SINGLE if name not in {"userName", "name", f"{ENTERPRISE}:manager"}]
    pathless = st.fixed_dictionaries({}, optional=dict.fromkeys([*plain, *VALUES, ENTERPRISE], nothing)).filter(bool)
    return [
        *(_operation("replace", _path(name), nothing) for name in [*plain, *VALUES]),
        _operation("replace", value=pathless),
        _operation("replace", _path("name"), st.fixed_dictionaries({"givenName": nothing, "familyName": WORDS})),
    ]


FAULTS: Json = choice([
    {"op": "remove", "path": "userName"},
    {"op": "remove"},
    {"op": "replace", "path": "userName", "value": None},
    {"op": "add", "path": "id", "value": "x"},
    {"op": "replace", "path": "meta.created", "value": "2026-01-01T00:00:00Z"},
    {"op": "remove", "path": "groups"},
    {"op": "add", "path": "groups", "value": [{"value": "x"}]},
    {"op": "merge", "path": "title", "value": "x"},
    {"op": "replace", "path": "title"},
    {"op": "add", "path": "title", "value": ["x"]},
    {"op": "add", "path": "title", "value": 5},
    {"op": "replace", "path": "active", "value": "perhaps"},
    {"op": "replace", "path": "name", "value": "Ada"},
    {"op": "add", "path": "emails", "value": 5},
    {"op": "replace", "value": "x"},
    {"op": "replace", "value": {"emails": "x"}},
    {"op": "replace", "path": "emails[type eq", "value": "x"},
    {"op": "replace", "path": "name[givenName eq \"a\"].familyName", "value": "x"},
    {"op": "replace", "path": "emails[nothing eq \"a\"].value", "value": "x"},
    {"op": "replace", "path": "emails[type sw \"zz\"].value", "value": "x"},
    {"op": "replace", "path": "a b c", "value": "x"},
])  # fmt: skip
"""Operations that nobody can carry out: the whole request is refused."""

_GOOD = choice([_writes("add"), _writes("replace"), _removes(), _writes("replace"), _emptying()])
REQUESTS: Json = st.tuples(
    st.lists(_GOOD.flatmap(choice).flatmap(lambda chosen: chosen), min_size=1, max_size=4),
    choice([False] * 15 + [True]).flatmap(lambda faulty: FAULTS if faulty else st.none()),
).map(lambda drawn: drawn[0] if drawn[1] is None else [*drawn[0], drawn[1]])
