"""What lets a person in, made without the pages that usually give it."""

from datetime import timedelta

from scim_server.directory import personal_tokens, sessions, standing
from scim_server.directory.actor import at_command_line
from scim_server.directory.sessions import Lifetimes, Origin
from scim_server.directory.store.engine import Database
from scim_server.directory.store.transaction import write


def session(database: Database, tenant: str, user_id: str) -> str:
    """The secret of a fresh session: the value of its cookie."""
    with write(database, at_command_line(tenant)) as tx:
        return sessions.open_for(tx, standing.hold(tx, user_id), Origin("password"), Lifetimes())


def personal_token(database: Database, tenant: str, user_id: str) -> str:
    """The text of a fresh personal token."""
    with write(database, at_command_line(tenant)) as tx:
        return personal_tokens.issue(tx, user_id, "test", expires_in=timedelta(days=1))[0]
