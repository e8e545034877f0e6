"""What can go wrong on the way in. The log gets step and reason; a visitor reads one of a few fixed sentences."""

from __future__ import annotations

from enum import Enum


class Sentence(Enum):
    """All that a visitor is told: title, explanation, status. None of it depends on who exists (RFC 6749 §10.x)."""

    AGAIN = (
        "This login could not be completed",
        "The identity provider's answer was not as it has to be. Start again, or ask your administrator.",
        400,
    )
    NOT_STARTED_HERE = (
        "This login was not started here",
        "It took too long, was used before, or began in another browser. Start again.",
        400,
    )
    PROVIDER_NO = ("The identity provider said no", "You were not logged in there, or did not agree. Start again.", 403)
    PROVIDER_DOWN = (
        "The identity provider cannot be reached",
        "It did not answer as it should. Wait a minute and start again.",
        400,
    )
    BUSY = (
        "The identity provider is slow at the moment",
        "This page tries again by itself in a few seconds.",
        429,
    )
    CROWDED = ("Many people are logging in at the moment", "Wait a few seconds and try again.", 429)
    NO_ACCESS = (
        "You have no access here",
        "There is no account here that you may enter. Should there be one, give the code below to your administrator.",
        403,
    )
    LINK_USED = (
        "This link no longer works",
        "It was used before or is too old. Ask your administrator for a new one.",
        404,
    )
    NOTHING = ("There is nothing here", "The address may have been mistyped.", 404)
    STALE_FORM = ("This page was open for too long", "Go back, load it again, and repeat what you did.", 400)
    UNAVAILABLE = ("The server is busy", "Try again in a moment.", 503)
    FAILED = ("Something went wrong", "The server's log tells more, under the code below.", 500)

    @property
    def title(self) -> str:
        return self.value[0]

    @property
    def text(self) -> str:
        return self.value[1]

    @property
    def status(self) -> int:
        return self.value[2]


class LoginRefused(Exception):
    """A login ends here. ``step`` and ``reason`` are words for the log; ``sentence`` is what the visitor reads."""

    def __init__(
        self,
        step: str,
        reason: str,
        sentence: Sentence = Sentence.AGAIN,
        *,
        user_id: str | None = None,
        subject: str | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(f"{step}: {reason}")
        self.step, self.reason, self.sentence = step, reason, sentence
        self.user_id, self.subject, self.name = user_id, subject, name
