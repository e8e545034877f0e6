"""The same requests to us and to scim2-server, answers compared: status, scimType and body.

Left aside in all of them: ids, times, versions and URLs, the words of ``detail``, and what we know and the
reference does not: ``groups`` of a user, type and display of a member. Every other difference stands with its
reason in ``stories``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from scim2_server.applications.wsgi import WSGIApplication
from scim2_server.memory import InMemoryStorage
from scim2_server.service import ScimService

from tests.oracles.models import PROVIDER
from tests.oracles.stories import STORIES, Step
from tests.running import Answer, House, Scim


@pytest.fixture(scope="module")
def module_house(module_database_url: str) -> Iterator[House]:
    opened = House(module_database_url)
    yield opened
    opened.close()


class Teller:
    """Tells a story to one server, and remembers the names in it."""

    def __init__(self, server: Scim) -> None:
        self.server = server
        self.names: dict[str, str] = {}

    def tell(self, step: Step) -> Answer:
        path, _, query = self.filled(step.path).partition("?")
        answer = self.server.request(
            step.method,
            path + ("?" + quote(query, safe="&=") if query else ""),
            self.filled(step.body),
            headers=self.filled(step.headers),
        )
        if step.name:
            made = answer.json
            self.names |= {step.name: made["id"], f"{step.name}.version": made["meta"]["version"]}
        return answer

    def filled(self, value: Any) -> Any:
        """The value with ids and versions where names stand."""
        if isinstance(value, str):
            for name, known in self.names.items():
                value = value.replace(f"{{{name}}}", known)
            return value
        return _rebuilt(value, self.filled)

    def shown(self, answer: Answer) -> Any:
        """The body without what may differ, names where ids stand."""
        if not answer.body:
            return None
        return self.stripped(answer.json)

    def stripped(self, value: Any) -> Any:
        if isinstance(value, str):
            return next((f"{{{name}}}" for name, known in self.names.items() if known == value), value)
        if isinstance(value, dict):
            value = {name: each for name, each in value.items() if name not in _ASIDE}
            if isinstance(value.get("members"), list):
                value["members"] = sorted(
                    ({"value": self.stripped(each["value"])} for each in value["members"]), key=str
                )
        return _rebuilt(value, self.stripped)


_ASIDE = {"created", "lastModified", "version", "location", "$ref", "detail", "groups"}


def _rebuilt(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, dict):
        return {name: change(each) for name, each in value.items()}
    return [change(each) for each in value] if isinstance(value, list) else value


def reference() -> Scim:
    """scim2-server with our models, tolerant as we are."""
    application = WSGIApplication(InMemoryStorage(), PROVIDER, ScimService(PROVIDER, secret="test"))

    def below_scim(environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"].removeprefix("/scim")
        return application({**environ, "SCRIPT_NAME": "/scim", "PATH_INFO": path}, start_response)

    return Scim(below_scim, None)


def _status(answer: Answer) -> int:
    return answer.status


def _scim_type(answer: Answer) -> str:
    return str(answer.json["scimType"])


@pytest.mark.parametrize("story", STORIES)
def test_both_servers_answer_the_same(module_house: House, story: str) -> None:
    tenant = "".join(letter for letter in story.lower() if letter.isalpha())[:30]
    us, them = Teller(module_house.client(tenant=tenant)), Teller(reference())
    for step in STORIES[story]:
        ours, theirs = us.tell(step), them.tell(step)
        told = f"{step.method} {step.path}"
        if step.differs:
            assert step.why
            of = _scim_type if isinstance(step.differs[0], str) else _status
            assert (told, of(ours), of(theirs)) == (told, *step.differs)
        else:
            assert (told, ours.status, us.shown(ours)) == (told, theirs.status, them.shown(theirs))
