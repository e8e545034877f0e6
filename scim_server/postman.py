"""Sends the mails that wait in the directory, over SMTP, in a thread of its own in each worker."""

from __future__ import annotations

import smtplib
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import unquote, urlsplit

from .directory import mails
from .directory.errors import Unavailable
from .directory.mails import Mail
from .directory.store.engine import Database
from .telemetry import log

_SECONDS = 5.0
_LONGEST_CALL = 20.0


@dataclass(frozen=True, slots=True)
class Server:
    """A mail server: ``smtp://`` takes TLS where the server offers it, ``smtps://`` begins with it."""

    host: str
    port: int
    user: str
    password: str
    tls: bool
    sender: str


def server(url: str, sender: str) -> Server:
    """Read an SMTP URL, such as ``smtp://user:password@mail.example.com:587``."""
    parts = urlsplit(url)
    tls = parts.scheme == "smtps"
    host, user = parts.hostname or "localhost", unquote(parts.username or "")
    address = sender or (user if "@" in user else f"scim-server@{host}")
    return Server(host, parts.port or (465 if tls else 587), user, unquote(parts.password or ""), tls, address)


class Postman(threading.Thread):
    """Looks for mail every few seconds."""

    def __init__(self, database: Database, to: Server) -> None:
        super().__init__(name="postman", daemon=True)
        self._database, self._to, self._over = database, to, threading.Event()

    def run(self) -> None:
        while not self._over.wait(_SECONDS):
            self.deliver()

    def stop(self) -> None:
        """Send no more."""
        self._over.set()

    def deliver(self) -> int:
        """Send what is due and tell how many went out; what fails is tried again later."""
        number = 0
        with suppress(Unavailable):
            while (mail := mails.take(self._database)) is not None:
                if self._sent(mail):
                    mails.sent(self._database, mail)
                    number += 1
        return number

    def _sent(self, mail: Mail) -> bool:
        """Send one; whatever goes wrong with it, the next ones go out."""
        try:
            send(self._to, mail)
        except Exception as error:  # noqa: BLE001 - email.headerregistry fails in many ways over odd addresses
            log("error", {"event": "mail.failed", "mail": mail.id, "reason": type(error).__name__})
            return False
        return True


def send(to: Server, mail: Mail) -> None:
    """Hand one mail to the server. Raises OSError, SMTPException."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = to.sender, mail.recipient, mail.subject
    message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain=to.sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834
    message.set_content(mail.text)
    with _connected(to) as client:
        if to.user:
            client.login(to.user, to.password)
        client.send_message(message)


def _connected(to: Server) -> smtplib.SMTP:
    """A connection, over TLS where the server has it."""
    context = ssl.create_default_context()
    if to.tls:
        return smtplib.SMTP_SSL(to.host, to.port, timeout=_LONGEST_CALL, context=context)
    client = smtplib.SMTP(to.host, to.port, timeout=_LONGEST_CALL)
    client.ehlo()
    if client.has_extn("starttls"):
        client.starttls(context=context)
        client.ehlo()
    return client
