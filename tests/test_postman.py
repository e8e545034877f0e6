"""Mails that wait in the directory reach a real SMTP server, once, and are tried again when it is away."""

import email
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from scim_server import postman
from scim_server.directory import mails
from scim_server.directory.store.engine import Database
from scim_server.postman import Postman
from tests.directory.desk import Desk, rows
from tests.running import free_port


class Inbox:
    """What a mail server took in."""

    def __init__(self) -> None:
        self.taken: list[Message] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.taken.append(email.message_from_bytes(envelope.content))
        return "250 OK"


@contextmanager
def listening(port: int) -> Iterator[Inbox]:
    inbox = Inbox()
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield inbox
    finally:
        controller.stop()


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    database = Database(database_url)
    yield Desk(database, "mail")
    database.close()


def sender(desk: Desk, port: int) -> Postman:
    return Postman(desk.database, postman.server(f"smtp://127.0.0.1:{port}", "server@house.example"))


def queue(desk: Desk, to: str = "ada@x.example") -> None:
    with desk.write() as tx:
        mails.queue(tx, to, "Grüße from the server", "One line.\nAnother, with ünïcode.\n")


def test_a_mail_arrives_once(desk: Desk) -> None:
    queue(desk)
    port = free_port()
    with listening(port) as inbox:
        assert sender(desk, port).deliver() == 1
        assert sender(desk, port).deliver() == 0
    [mail] = inbox.taken
    assert (mail["To"], mail["From"]) == ("ada@x.example", "server@house.example")
    assert str(email.header.make_header(email.header.decode_header(mail["Subject"]))) == "Grüße from the server"
    body = mail.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.decode().splitlines() == ["One line.", "Another, with ünïcode."]


def test_a_mail_is_tried_again_when_the_server_was_away(desk: Desk) -> None:
    queue(desk)
    port = free_port()
    assert sender(desk, port).deliver() == 0
    assert rows(desk.database, "SELECT tries FROM mails") == [(1,)]
    with listening(port) as inbox:
        assert sender(desk, port).deliver() == 0, "it is not due yet"
        rows(desk.database, "UPDATE mails SET due = '2000' RETURNING id")
        assert sender(desk, port).deliver() == 1
    assert len(inbox.taken) == 1
    assert rows(desk.database, "SELECT id FROM mails") == []


def test_a_mail_that_was_rolled_back_is_not_sent(desk: Desk) -> None:
    def queued_and_failed() -> None:
        with desk.write() as tx:
            mails.queue(tx, "ada@x.example", "No", "No")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        queued_and_failed()
    port = free_port()
    with listening(port) as inbox:
        assert sender(desk, port).deliver() == 0
    assert inbox.taken == []


@pytest.mark.parametrize(
    ("document", "mailbox"),
    [
        ({"userName": "ada"}, None),
        ({"userName": "ada@x.example"}, "ada@x.example"),
        ({"userName": "ada", "emails": [{"value": "a@x.example"}, {"value": "b@x.example", "primary": True}]},
         "b@x.example"),
        ({"userName": "ada", "emails": [{"value": "a@x.example\r\nBcc: all@x.example"}]}, None),
        ({"userName": "ada", "emails": [{"value": ""}]}, None),
    ],
)  # fmt: skip
def test_the_mailbox_of_a_person(document: dict[str, Any], mailbox: str | None) -> None:
    assert mails.mailbox(document) == mailbox


def test_the_address_of_a_mail_server() -> None:
    found = postman.server("smtps://ada%40x.example:s%3Acret@mail.example", "")
    assert (found.host, found.port, found.tls, found.user, found.password) == (
        "mail.example", 465, True, "ada@x.example", "s:cret",
    )  # fmt: skip
    assert found.sender == "ada@x.example"
    assert postman.server("smtp://mail.example", "").sender == "scim-server@mail.example"
