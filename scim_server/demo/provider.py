"""The company's identity provider: oidc-provider-mock, with pages of ours on which one chooses who to be."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from authlib.deprecate import AuthlibDeprecationWarning

from . import company, web

with warnings.catch_warnings():
    warnings.simplefilter("ignore", AuthlibDeprecationWarning)  # the mock's business, and no visitor's
    import oidc_provider_mock

CLIENT_ID = "scim-server"


@contextmanager
def running(place: web.Served, server: Sequence[str]) -> Iterator[None]:
    """Let people log in at a place; browsers come from, and go back to, the addresses of the server."""
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # what the mock demands of whoever runs it without TLS
    warnings.simplefilter("ignore", AuthlibDeprecationWarning)
    logging.getLogger("oidc_provider_mock").setLevel(logging.CRITICAL)  # the terminal is the visitor's
    users = [oidc_provider_mock.User(sub=each.subject, claims=each.claims) for each in company.PERSONAS]
    app = oidc_provider_mock.app(user_claims=users)
    app.jinja_loader = web.loader  # the mock's own pages fetch their style from elsewhere, and know people by number
    app.jinja_env.globals.update(personas=company.PERSONAS, company=company.NAME, server=server[0])
    with place.showing(app, forms_lead_to=server):
        yield
