"""The login door."""
