"""Where a login may lead to: a path of this server and nothing else (rule R14)."""

from __future__ import annotations

HOME = "/me"
_LONGEST = 2048


def local(text: str | None) -> str:
    """The path to go on to; HOME for whatever is not plainly one of ours.

    Browsers read ``\\`` as ``/`` and drop tabs and line ends, so neither may occur; ``//host`` is another server.
    """
    if not text or len(text) > _LONGEST or not text.startswith("/") or not text.isascii():
        return HOME
    path = text.split("?", 1)[0].split("#", 1)[0]
    if "//" in path or "\\" in text or any(each <= " " or each == "\x7f" for each in text):
        return HOME
    return text
