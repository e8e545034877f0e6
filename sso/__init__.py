"""The login door: people prove who they are, get a session, and lose it when their account ends.

``routes``      every path and what answers it, in one table
``login``       the login page, the start of a login
``callback``    a provider's answer, step by step
``choosing``    which account, where there are several
``local``       passwords and one-time links
``signout``     logout here, at the provider, and by the provider
``me``          a person's own sessions
``verify``      ``/auth/verify`` for proxies, ``login_required`` for a Flask application
``providers``   foreign answer -> one plain value
``network``     calls to providers: guarded, bounded, never many at once
``jose``, ``claims``, ``discovery``  the strict layer over Authlib
``identity``    claims -> proof, pure
``door``        what the views work with; ``cookies``, ``targets``, ``errors``, ``pages``, ``devices`` and ``noise``
                are their tools

Who exists and who may come in is decided below, in ``scim_server.directory``; no SQL is known here.
"""

from .verify import current_person, login_required

__all__ = ["current_person", "login_required"]
