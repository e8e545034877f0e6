"""Providers: each turns a foreign answer into one plain value, after which nobody asks which provider it was.

``kinds``      which provider a connection is with: endpoints, scopes, what its console must contain
``base``       what a login starts with and what comes back
``oidc``       OpenID Connect: Google, GitLab, Entra and any other
``oauth``      OAuth 2 and an API, no ID token: ``github`` and ``bitbucket``

None of them knows Flask, and none has a rule about accounts: those stand in ``directory.linking``.
"""
