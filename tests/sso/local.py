"""People with passwords, and how they log in with them."""

from collections.abc import Callable
from typing import Any

from werkzeug.test import TestResponse

from scim_server.directory import accounts, users
from scim_server.directory.actor import at_command_line
from scim_server.directory.passwords import hashed
from scim_server.directory.store.transaction import write
from tests.running import House
from tests.sso.visiting import Visitor, add_login

ADA, NOBODY = "ada@corp.example", "nobody@corp.example"
PASSWORD, OTHER = "a heron reads 9 maps", "six owls count to 100"
KEPT = hashed(PASSWORD)
HERE, THERE = "192.0.2.1", "198.51.100.7"


def change(house: House, verb: Callable[..., Any], *rest: Any, **named: Any) -> Any:
    """One verb of the directory, as at the command line."""
    with write(house.database, at_command_line(house.tenant.id)) as tx:
        return verb(tx, *rest, **named)


def person(house: House, name: str = ADA, *, kept: str | None = KEPT) -> str:
    made: str = change(house, users.create, {"userName": name}).id
    if kept is not None:
        change(house, accounts.set_password, made, kept)
    return made


def enforce(house: House, **chosen: Any) -> None:
    """From now on everybody logs in through a provider."""
    add_login(house, "https://idp.example", enforced=True, **chosen)


def log_in(
    visitor: Visitor, name: str = ADA, password: str = PASSWORD, *, address: str = HERE, **fields: str
) -> TestResponse:
    token = visitor.form_token()
    form = {"csrf_token": token, "username": name, "password": password, **fields}
    return visitor.browser.post("/login", data=form, environ_base={"REMOTE_ADDR": address})
