"""Plays a recorded conversation of a client against a server over HTTP.

A *conversation* is a JSON object: ``client``, ``name``, ``level``, ``source``, perhaps ``requires`` (features that
ServiceProviderConfig must have), ``headers`` for all requests, and ``steps``. A step is

* a request: ``method``, ``path``, one of ``query``, ``raw_query``, ``gen_query``, one of ``body``, ``raw_body``,
  ``gen_body``, ``headers`` (null drops one), ``auth`` ("none", "bad", "basic"), ``repeat``, what to ``expect``, and
  what to ``save`` of the JSON or to ``save_header`` for later steps;
* ``"kind": "parallel"``: ``steps`` sent at once, ``expect_counts`` of their statuses, ``require_header_on`` a status;
* ``"kind": "paginate"``: a walk through a collection in which nothing may come twice or be missing.

``expect`` holds ``status``, assertions on ``json`` and ``headers``, ``scim_error``, ``body`` ("empty", "required"),
``max_seconds``, or several alternatives in ``any_of``. Without a status anything below 500 will do. Assertions on JSON
are left out on 204 and 304, unless the body is required. ``${name}`` stands for a saved value, and for ``run`` (random,
new in each conversation), ``guid1`` to ``guid9``, ``i`` (the number of a repetition), ``base_url`` and ``token``.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"

_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
_STEP = re.compile(r"\['([^']*)'\]|\[(\*)\]|\[(-?\d+)\]|\[([^\]=]+)=([^\]]*)\]|\.?([^.\[\]]+)")
_IN_PATH, _IN_QUERY = "/%:@!$&'()*+,;=-._~", "%=&+:,'()*[]@!$;/?-._~"


@dataclass
class Answer:
    """One answer, and how long it took."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def json(self) -> Any:
        """The document, or None for what is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def filled(value: Any, env: Mapping[str, Any]) -> Any:
    """``value`` with its placeholders replaced; text that is one placeholder takes the type of what was saved."""
    if isinstance(value, str):
        whole = _PLACEHOLDER.fullmatch(value)
        if whole and whole[1] in env:
            return env[whole[1]]
        return _PLACEHOLDER.sub(lambda found: str(env[found[1]]), value)
    if isinstance(value, list):
        return [filled(each, env) for each in value]
    if isinstance(value, dict):
        return {filled(key, env): filled(each, env) for key, each in value.items()}
    return value


def found_at(document: Any, path: str) -> list[Any] | None:
    """What stands at a path, as a list of one; None when nothing does. ``[*]`` gives the list of all instead."""
    values, several, at = [document], False, 0
    while path not in ("", "$") and at < len(path):
        step = _STEP.match(path, at)
        assert step, f"cannot read the path {path}"
        at, several = step.end(), several or step[2] is not None
        values = [each for value in values for each in _stepped(value, step)]
    return [values] if several else values[:1] or None


def _stepped(value: Any, step: re.Match[str]) -> list[Any]:
    quoted, star, position, name, wanted, key = step.groups()
    if star or position or name:
        if not isinstance(value, list):
            return []
        if star:
            return value
        if position:
            return value[int(position) :][:1] if int(position) != -1 else value[-1:]
        return [each for each in value if isinstance(each, dict) and _as_text(each.get(name)) == wanted][:1]
    key = quoted if quoted is not None else key
    return [value[key]] if isinstance(value, dict) and key in value else []


def _as_text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


# ---------------------------------------------------------------------------------------------- assertions


def _same(left: Any, right: Any) -> bool:
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def _within(small: Any, big: Any) -> bool:
    if isinstance(small, dict):
        return isinstance(big, dict) and all(key in big and _within(each, big[key]) for key, each in small.items())
    return _same(small, big)


_TYPES: dict[str, type] = {"string": str, "boolean": bool, "array": list, "object": dict, "integer": int}

# Each takes whether there is a value, the value, and what the rule asks for.
_RULES: dict[str, Callable[[bool, Any, Any], bool]] = {
    "exists": lambda there, value, wanted: wanted == (there and value not in (None, [], {})),
    "equals": lambda there, value, wanted: there and _same(value, wanted),
    "not_equals": lambda there, value, wanted: not (there and _same(value, wanted)),
    "iequals": lambda _, value, wanted: str(value).lower() == str(wanted).lower(),
    "in": lambda there, value, wanted: there and any(_same(value, each) for each in wanted),
    "contains": lambda _, value, wanted: isinstance(value, str | list | dict) and wanted in value,
    "not_contains": lambda _, value, wanted: not isinstance(value, str | list | dict) or wanted not in value,
    "length": lambda _, value, wanted: len(value or ()) == wanted,
    "min_length": lambda _, value, wanted: len(value or ()) >= wanted,
    "max_length": lambda _, value, wanted: len(value or ()) <= wanted,
    "gte": lambda there, value, wanted: there and isinstance(value, int | float) and value >= wanted,
    "type": lambda _, value, wanted: isinstance(value, _TYPES[wanted]) and not (wanted == "integer" and value is True),
    "matches": lambda there, value, wanted: there and re.search(wanted, str(value)) is not None,
    "has": lambda _, value, wanted: isinstance(value, list) and any(_within(wanted, each) for each in value),
    "none_has": lambda _, value, wanted: not isinstance(value, list) or not any(_within(wanted, e) for e in value),
}


def check(where: str, found: list[Any] | None, rule: Mapping[str, Any]) -> None:
    """Every operator of a rule holds for what was found."""
    value = found[0] if found else None
    for operator, wanted in rule.items():
        assert _RULES[operator](found is not None, value, wanted), f"{where}: {operator} {wanted!r}, got {value!r:.300}"


def verify(where: str, answer: Answer, expect: Mapping[str, Any], env: Mapping[str, Any]) -> None:
    """The answer is what the client needs."""
    if "any_of" in expect:
        _verify_any(where, answer, expect["any_of"], env)
        return
    shown = f"{where}: {answer.status} {answer.body[:300]!r}"
    assert answer.status in expect["status"] if expect.get("status") else answer.status < 500, shown
    assert answer.seconds <= expect.get("max_seconds", 60), f"{where} took {answer.seconds:.1f} s"
    assert expect.get("body") != "empty" or not answer.body, shown
    assert expect.get("body") != "required" or answer.body, shown
    for rule in expect.get("headers", ()):
        value = answer.headers.get(rule["name"].lower())
        wanted = {key: filled(each, env) for key, each in rule.items() if key != "name"}
        check(f"{where} {rule['name']}", None if value is None else [value], wanted)
    if answer.status in (204, 304) and expect.get("body") != "required":
        return
    if expect.get("scim_error") and answer.status >= 400:
        _verify_error(shown, answer, expect["scim_error"])
    for rule in expect.get("json", ()):
        assert answer.json is not None, shown
        wanted = {key: filled(each, env) for key, each in rule.items() if key != "path"}
        path = filled(rule["path"], env)
        check(f"{where} {path}", found_at(answer.json, path), wanted)


def _verify_any(where: str, answer: Answer, options: list[Mapping[str, Any]], env: Mapping[str, Any]) -> None:
    problems = []
    for option in options:
        try:
            verify(where, answer, option, env)
        except AssertionError as problem:
            problems.append(str(problem))
        else:
            return
    raise AssertionError("\n".join(problems))


def _verify_error(shown: str, answer: Answer, expected: Any) -> None:
    body = answer.json
    assert isinstance(body, dict), shown
    assert ERROR in body.get("schemas", ()), shown
    assert body.get("status") == str(answer.status), shown
    assert body.get("detail"), shown
    if isinstance(expected, dict) and expected.get("scimType"):
        assert body.get("scimType") in expected["scimType"], shown


# ------------------------------------------------------------------------------------------------ requests


class Player:
    """Plays conversations against the server whose SCIM root is ``base``."""

    def __init__(self, base: str, token: str) -> None:
        self.base, self.token, self.parts = base, token, urlsplit(base)

    def play(self, conversation: Mapping[str, Any]) -> None:
        """Play all steps, then delete what they created. Raises AssertionError."""
        env: dict[str, Any] = {"run": uuid.uuid4().hex[:10], "base_url": self.base, "token": self.token}
        env |= {f"guid{number}": str(uuid.uuid4()) for number in range(1, 10)}
        created: list[str] = []
        try:
            for number, step in enumerate(conversation["steps"], 1):
                try:
                    self._step(step, env, conversation.get("headers") or {}, created)
                except AssertionError as problem:
                    raise AssertionError(f"step {number}: {problem}") from None
        finally:
            for path in reversed(created):
                self._request({"method": "DELETE", "path": path}, env)

    def _step(self, step: Mapping[str, Any], env: dict[str, Any], headers: Mapping[str, Any], made: list[str]) -> None:
        if step.get("kind") == "parallel":
            self._parallel(step, env, headers, made)
            return
        if step.get("kind") == "paginate":
            self._paginate(step, env, headers)
            return
        for number in range(1, step.get("repeat", 1) + 1):
            env["i"] = number
            answer = self._request(step, env, headers)
            made += _created(step, answer, env)
            where = f"{step['method']} {step['path'][:60]}"
            verify(where, answer, step.get("expect", {}), env)
            for name, path in (step.get("save") or {}).items():
                found = found_at(answer.json, filled(path, env))
                assert found not in (None, [None]), f"{where}: nothing at {path} in {answer.body[:300]!r}"
                env[name.replace("#", str(number))] = found[0]
            for name, header in (step.get("save_header") or {}).items():
                assert header.lower() in answer.headers, f"{where}: no {header}"
                env[name] = answer.headers[header.lower()]

    def _request(
        self, step: Mapping[str, Any], env: Mapping[str, Any], headers: Mapping[str, Any] | None = None
    ) -> Answer:
        target = quote(self.parts.path) + quote(filled(step["path"], env), safe=_IN_PATH)
        if query := _query(step, env):
            target += "?" + quote(query, safe=_IN_QUERY)
        data = self._body(step, env)
        return self.send(
            step["method"], target, self._headers(step, env, headers or {}, with_body=data is not None), data
        )

    def send(self, method: str, target: str, headers: Mapping[str, str], data: bytes | None) -> Answer:
        """One request on a connection of its own, with exactly these headers."""
        connection = http.client.HTTPConnection(str(self.parts.hostname), self.parts.port, timeout=30)
        begun = time.monotonic()
        try:
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in {**headers, "Connection": "close"}.items():
                connection.putheader(name, value)
            if data is not None:
                connection.putheader("Content-Length", str(len(data)))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may refuse before reading it all
                connection.endheaders(data)
            got = connection.getresponse()
            body = got.read()
        except (OSError, http.client.HTTPException) as error:
            raise AssertionError(f"{method} {target[:120]}: no answer, {error!r}") from error
        finally:
            connection.close()
        named = {name.lower(): value for name, value in got.getheaders()}
        return Answer(got.status, named, body, time.monotonic() - begun)

    def _headers(
        self, step: Mapping[str, Any], env: Mapping[str, Any], common: Mapping[str, Any], *, with_body: bool
    ) -> dict[str, str]:
        credentials = {
            "bearer": f"Bearer {self.token}",
            "bad": f"Bearer not-{uuid.uuid4().hex}",
            "basic": "Basic " + base64.b64encode(b"nobody:nothing").decode(),
            "none": None,
        }
        headers: dict[str, tuple[str, Any]] = {"accept": ("Accept", "application/scim+json")}
        headers["authorization"] = ("Authorization", credentials[step.get("auth", "bearer")])
        if with_body:
            headers["content-type"] = ("Content-Type", "application/scim+json")
        for name, value in [*common.items(), *(step.get("headers") or {}).items()]:
            headers[name.lower()] = (name, value)
        return {name: str(filled(value, env)) for name, value in headers.values() if value is not None}

    def _body(self, step: Mapping[str, Any], env: Mapping[str, Any]) -> bytes | None:
        if "gen_body" in step and step["gen_body"]["kind"] == "bulk_over_limit":
            config = self._request({"method": "GET", "path": "/ServiceProviderConfig"}, env).json
            operations = [{"method": "DELETE", "path": "/Users/none"}] * (config["bulk"]["maxOperations"] + 1)
            return json.dumps({"schemas": [BULK], "Operations": operations}).encode()
        if "gen_body" in step:
            return _generated(filled(step["gen_body"], env))
        if "raw_body" in step:
            return str(filled(step["raw_body"], env)).encode()
        if "body" in step:
            return json.dumps(filled(step["body"], env), ensure_ascii=False).encode("utf-8", "surrogatepass")
        return None

    # ------------------------------------------------------------------------------- several requests

    def _parallel(
        self, step: Mapping[str, Any], env: Mapping[str, Any], headers: Mapping[str, Any], made: list[str]
    ) -> None:
        requests = [each for each in step["steps"] for _ in range(each.get("repeat", 1))]
        with ThreadPoolExecutor(len(requests)) as pool:
            numbered = [(each, {**env, "i": number}) for number, each in enumerate(requests, 1)]
            answers = list(pool.map(lambda each: self._request(*each, headers), numbered))
        for request, answer in zip(requests, answers, strict=True):
            made += _created(request, answer, env)
            needed = (step.get("require_header_on") or {}).get(str(answer.status))
            assert needed is None or needed.lower() in answer.headers, f"{answer.status} without {needed}"
        statuses = sorted(answer.status for answer in answers)
        for bucket in step.get("expect_counts", ()):
            number = sum(status in bucket["status"] for status in statuses)
            wanted = f"{bucket} of {statuses}"
            assert bucket.get("min", 0) <= number <= bucket.get("max", len(statuses)), wanted

    def _paginate(self, step: Mapping[str, Any], env: Mapping[str, Any], headers: Mapping[str, Any]) -> None:
        seen = [str(each) for page in self._pages(step, env, headers) for each in page]
        assert len(set(seen)) == len(seen), f"{step['path']}: something came twice"
        missing = [each for each in filled(step.get("must_include", []), env) if str(each) not in seen]
        assert not missing, f"{step['path']}: never saw {missing[:3]}"
        if prefix := filled(step.get("prefix", ""), env):
            assert sum(each.startswith(prefix) for each in seen) == step["prefix_count"], f"{step['path']}: {prefix}"

    def _pages(
        self, step: Mapping[str, Any], env: Mapping[str, Any], headers: Mapping[str, Any]
    ) -> Iterator[list[Any]]:
        start, number, count = 1, 0, step["count"]
        for _ in range(1000):
            query = {**(step.get("query") or {}), "startIndex": start, "count": count}
            answer = self._request({"method": "GET", "path": step["path"], "query": query}, env, headers)
            where = f"{step['path']} from {start}"
            rules = [{"path": name, "type": "integer"} for name in ("totalResults", "itemsPerPage")]
            verify(where, answer, {"status": [200], "json": [*rules, {"path": "startIndex", "equals": start}]}, env)
            page = answer.json.get("Resources") or []
            assert answer.json["itemsPerPage"] == len(page) <= count, where
            yield [(found_at(each, step["collect"]) or [None])[0] for each in page]
            number += len(page)
            if not page or number >= answer.json["totalResults"]:
                assert number >= answer.json["totalResults"], f"{where}: {number} of {answer.json['totalResults']}"
                return
            start += len(page) if step.get("advance") == "received" else count


def _created(step: Mapping[str, Any], answer: Answer, env: Mapping[str, Any]) -> list[str]:
    """The paths of what a POST made."""
    path, body = filled(step["path"], env), answer.json
    if step["method"] != "POST" or not isinstance(body, dict):
        return []
    if path.endswith("/Bulk"):
        done = [each for each in body.get("Operations") or [] if isinstance(each, dict) and each.get("status") == "201"]
        return ["/" + "/".join(each["location"].split("/")[-2:]) for each in done if each.get("location")]
    return [f"{path.rstrip('/')}/{body['id']}"] if answer.status == 201 and body.get("id") else []


def _query(step: Mapping[str, Any], env: Mapping[str, Any]) -> str:
    if "gen_query" in step:
        return f"{step['gen_query']['param']}={quote(_nested(step['gen_query']), safe='')}"
    if step.get("raw_query") is not None:
        return str(filled(step["raw_query"], env))
    pairs = step.get("query") or []
    pairs = pairs.items() if isinstance(pairs, Mapping) else pairs
    return "&".join(f"{quote(str(name), safe='')}={quote(str(filled(value, env)), safe='')}" for name, value in pairs)


def _nested(wanted: Mapping[str, Any]) -> str:
    return str(wanted["open"] * wanted["n"] + wanted["core"] + wanted["close"] * wanted["n"])


def _generated(wanted: Mapping[str, Any]) -> bytes:
    """A body that is too large or too odd to be written down."""
    match wanted["kind"]:
        case "nested_array" | "nested_object" as kind:
            depth = wanted["depth"]
            deep = "[" * depth + "]" * depth if kind == "nested_array" else '{"a":' * depth + "1" + "}" * depth
            head = {"schemas": [wanted["schema"]], "userName": wanted["userName"]}
            return f'{json.dumps(head)[:-1]},"name":{deep}}}'.encode()
        case "big_string":
            return json.dumps({**wanted["doc"], wanted["key"]: "x" * wanted["size"]}).encode()
        case "many_values":
            item = json.dumps(wanted["item"])
            values = [json.loads(item.replace("#", str(number))) for number in range(wanted["n"])]
            return json.dumps({**wanted["doc"], wanted["key"]: values}).encode()
        case "search":
            return json.dumps({"schemas": [SEARCH], "filter": _nested(wanted)}).encode()
        case "raw_hex":
            return bytes.fromhex(wanted["hex"])
        case kind:
            raise ValueError(f"no generator is called {kind}")
