"""Pages: one frame, harmless headers, and the form token that every unsafe request has to bring."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import flask_bootstrap
from flask import Response, make_response, redirect, render_template, request, send_file
from flask_wtf.csrf import generate_csrf, validate_csrf
from wtforms.validators import ValidationError

from .cookies import is_secure
from .door import request_id, root, the_door
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
_ASSETS = {
    "bootstrap.css": Path(flask_bootstrap.__file__).parent / "static/bootstrap5/css/bootstrap.min.css",
    "login.css": _HERE / "static/login.css",
}
_VERSION = version("bootstrap-flask")


def page(template: str, status: int = 200, **values: object) -> Response:
    """A page of the login."""
    text = render_template(f"sso/{template}", csrf_token=generate_csrf, assets=_VERSION, **values)
    return make_response(text, status)


def message(sentence: Sentence, *, again: bool = True) -> Response:
    """A page that says one of the few sentences, with a code by which the log is found."""
    response = page("message.html", sentence.status, sentence=sentence, reference=request_id(), again=again)
    if sentence is Sentence.BUSY:
        response.headers["Refresh"] = response.headers["Retry-After"] = "3"
    return response


def go(url: str) -> Response:
    """Send the browser on; it never repeats a form there."""
    return make_response(redirect(url, 303))


def asset(name: str) -> Response:
    """A style sheet."""
    path = _ASSETS.get(name)
    if path is None:
        raise LoginRefused("page", "unknown", Sentence.NOTHING)
    response = send_file(path, mimetype="text/css", max_age=86_400)
    response.headers["Cache-Control"] = "public, max-age=86400"
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
    found = {urlsplit(each.issuer) for each in the_door().connections()} if request.path.startswith("/log") else set()
    return sorted(f"{each.scheme}://{each.netloc}" for each in found if each.scheme == "http")
