"""The login door: people prove who they are at an identity provider. Stands on ``scim_server.directory``."""
