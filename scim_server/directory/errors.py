"""What can go wrong in the directory, told in its own words; each door says it in its language."""


class DirectoryError(Exception):
    """Something was asked for that cannot be done. The message is safe to show."""


class NotFound(DirectoryError):
    """There is no such thing in this tenant; another tenant's is no different."""


class AlreadyTaken(DirectoryError):
    """A value that must be unique belongs to another resource. ``attribute`` is its SCIM name."""

    def __init__(self, attribute: str, message: str) -> None:
        super().__init__(message)
        self.attribute = attribute


class VersionMismatch(DirectoryError):
    """The resource changed since the version that the writer saw."""


class Refused(DirectoryError):
    """A rule of the house forbids it; the message names the rule and the way out."""


class Unavailable(DirectoryError):
    """The database cannot be reached or stays busy; the same request may succeed later."""


class Contended(Unavailable):
    """Two writers each waited for what the other held; undone, and done when it is repeated."""


class SchemaMismatch(DirectoryError):
    """The database's schema is not the one this program knows."""
