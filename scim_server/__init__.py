"""A SCIM 2.0 provisioning server: the plan of the house.

``protocol``    The law. RFC 7643 and RFC 7644 as pure functions: schemas, validation, PATCH, filters,
                projection, rendering. No I/O, no clock, no SQL, no web.
``directory``   The heart. Who exists, who may, what happened: tenants, people, groups, connections,
                tokens, audit, events, and the ``store`` below them. SQLAlchemy lives here; no web.
``api``         The SCIM door: HTTP in, HTTP out. Thin WSGI beside Flask's own dispatch.
``config``      Settings, read once from the environment.
``app``         The front door: wires every room together. ``cli`` is the program.

A request flows one way: door -> directory -> store. A *User* appears in three rooms, each with one side
of it: ``protocol`` knows what a valid one looks like, ``directory.users`` what may happen to one, and
``directory.store`` how one is kept. Nothing is imported here, so that the heart loads without the web.
"""

__version__ = "0.1.0"
