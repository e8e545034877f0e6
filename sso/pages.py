"""Pages: one frame, harmless headers, and the form token that every unsafe request has to bring."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import flask_bootstrap
from flask import Response, make_response, redirect, render_template, request, send_file, url_for
from flask_wtf.csrf import generate_csrf, validate_csrf
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from wtforms.validators import ValidationError

from scim_server.directory.errors import Unavailable

from . import devices, targets
from .cookies import is_secure
from .door import host, request_id, root, the_door
from .errors import LoginRefused, Sentence

HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "interest-cohort=()",
}
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self' https:"
)
_HERE = Path(__file__).parent
_STYLE = "text/css"
_ASSETS = {
    "bootstrap.css": (Path(flask_bootstrap.__file__).parent / "static/bootstrap5/css/bootstrap.min.css", _STYLE),
    "login.css": (_HERE / "static/login.css", _STYLE),
    "icon.svg": (_HERE / "static/icon.svg", "image/svg+xml"),
}
# A new release's pages ask for new addresses, so that no browser puts old styles on them.
_VERSION = hashlib.sha256(b"".join(path.read_bytes() for path, _ in _ASSETS.values())).hexdigest()[:12]
_NOT_LOGGED = (Sentence.NOTHING, Sentence.STALE_FORM, Sentence.BUSY, Sentence.CROWDED, Sentence.UNAVAILABLE)
_NOT_BEGUN = (Sentence.LINK_USED, Sentence.NOTHING, Sentence.STALE_FORM, Sentence.FAILED)


def page(template: str, status: int = 200, **values: object) -> Response:
    """A page of the login."""
    text = render_template(
        f"sso/{template}", csrf_token=generate_csrf, assets=_VERSION, site=host(), device=devices.named, **values
    )
    return make_response(text, status)


def message(sentence: Sentence, *, again: bool = True) -> Response:
    """A page that says one of the few sentences, with a code where the log has more under it."""
    busy = sentence is Sentence.BUSY
    response = page(
        "message.html",
        sentence.status,
        sentence=sentence,
        reference="" if sentence in _NOT_LOGGED else request_id(),
        again=again,
        again_at="" if busy else url_for("login.login_page"),  # empty: this address once more
        again_says="Try again now" if busy else "Go to the login" if sentence in _NOT_BEGUN else "Start again",
    )
    if busy:
        response.headers["Refresh"] = response.headers["Retry-After"] = "3"
    return response


def http_error(error: HTTPException) -> Response | HTTPException:
    """Our page for what a browser meets by a wrong address or after its session; all else stays as it is."""
    if error.response is not None or "text/html" not in request.headers.get("Accept", ""):
        return error
    if error.code == 401:
        return go(url_for("login.login_page"))
    if error.code not in (404, 405):
        return error
    response = message(Sentence.NOTHING)
    response.status_code = error.code
    if isinstance(error, MethodNotAllowed):
        response.allow.update(sorted(error.valid_methods or ()))
    return response


def go(url: str) -> Response:
    """Send the browser on; it never repeats a form there."""
    return make_response(redirect(url, 303))


def at(path: str) -> str:
    """A path of ours as browsers know it: beneath whatever we are mounted under."""
    return request.root_path.rstrip("/") + path


def target(text: str | None) -> str:
    """Where a visitor wants to go on to, if that is on this server; else their own page."""
    wanted = targets.local(text)
    return at(wanted) if wanted == targets.HOME else wanted


def asset(name: str) -> Response:
    """A style sheet, or the icon."""
    path, media_type = _ASSETS.get(name, (None, ""))
    if path is None:
        raise LoginRefused("page", "unknown", Sentence.NOTHING)
    response = send_file(path, mimetype=media_type)
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


def require_form_token() -> None:
    """A form must be one of our pages', in this browser (OWASP ASVS 5.0.0, 3.5.1). Raises LoginRefused."""
    origin = request.headers.get("Origin")
    if origin not in (None, "null") and urlsplit(origin or "").netloc not in (urlsplit(root()).netloc, request.host):
        raise LoginRefused("form", "origin", Sentence.STALE_FORM)
    try:
        validate_csrf(request.form.get("csrf_token", ""))
    except ValidationError:
        raise LoginRefused("form", "token", Sentence.STALE_FORM) from None


def guard(response: Response) -> Response:
    """The headers of every answer of the login."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Content-Security-Policy", " ".join([_POLICY, *_local_targets()]))
    if is_secure(request):
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    response.headers.setdefault("X-Request-Id", request_id())
    return response


def _local_targets() -> Sequence[str]:
    """Providers without https, as on a developer's machine: a form may lead to them too."""
    if not request.path.startswith("/log"):
        return ()
    try:
        found = {urlsplit(each.issuer) for each in the_door().connections()}
    except Unavailable:  # of which the page itself tells
        return ()
    return sorted(f"{each.scheme}://{each.netloc}" for each in found if each.scheme == "http")
