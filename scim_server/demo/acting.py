"""What the HR desk and the command line do alike: end an account through SCIM and read what that ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from ..directory import ending, logins, sessions, tenants
from ..directory.actor import at_command_line
from ..directory.errors import NotFound
from ..directory.sessions import Lifetimes
from ..directory.store.engine import Database
from ..directory.store.transaction import Tx, read
from . import company
from .sender import Exchange, Sender


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was asked over SCIM, what came back, and the server's receipt when something ended."""

    username: str
    active: bool
    exchange: Exchange
    receipt: dict[str, Any] | None

    @property
    def done(self) -> bool:
        return self.exchange.status < 300

    @property
    def says(self) -> str:
        """The outcome in a sentence."""
        if not self.done:
            return f"Refused: {(self.exchange.answered or {}).get('detail', self.exchange.reason)}"
        if self.receipt is None:
            return f"{self.username} is active: may log in anew." if self.active else "Nothing was left to end."
        number, took = self.receipt["sessions"], self.receipt["milliseconds"]
        if not number:
            return f"{self.username} may not log in any more, and was not logged in."
        after = "" if took is None else f", {took:.1f} ms after the request came in"
        return f"{number} session{'' if number == 1 else 's'} of {self.username} ended{after}."


class State(NamedTuple):
    """How it stands with somebody: active by SCIM, how many sessions count, and the server's latest receipts."""

    active: bool
    sessions: int
    receipts: list[dict[str, Any]]


class Actor:
    """Somebody in HR: speaks SCIM to the server, and may look into its books to see what that did."""

    def __init__(self, sender: Sender, database: Database) -> None:
        self.sender, self._database = sender, database
        self._tenant = tenants.ensure_default(database).id

    def switch(self, username: str, *, active: bool) -> Outcome:
        """Say of somebody that they are active or not. Raises NotFound."""
        found = self.sender.find("userName", "User", f'userName eq "{_quoted(username)}"')
        if not found:
            raise NotFound(f"The demo has no account {username}; try {company.GRACE.username}.")
        [(name, user_id)] = found.items()
        exchange = self.sender.switch(user_id, active=active)
        receipts = ending.receipts_of(self._books(), user_id)
        receipt = next((each for each in receipts if each["request_id"] == exchange.request_id), None)
        return Outcome(name, active, exchange, receipt)

    def states(self, number: int) -> dict[str, State]:
        """How it stands with each persona that has an account, by username, with so many receipts."""
        names = [each.username for each in company.PERSONAS if each.username]
        asked = " or ".join(f'userName eq "{name}"' for name in names)
        found = self.sender.look("User", ["userName", "active"], asked)
        books = self._books()
        return {
            each["userName"]: State(
                each["active"],
                len(sessions.of(books, each["id"], Lifetimes())),
                ending.receipts_of(books, each["id"], number),
            )
            for each in found
        }

    def logins(self, number: int) -> list[dict[str, Any]]:
        """The latest lines of the server's login log."""
        return logins.latest(self._books(), limit=number)

    def _books(self) -> Tx:
        return read(self._database, at_command_line(self._tenant))


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
