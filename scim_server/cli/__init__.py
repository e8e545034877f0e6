"""The program ``scim-server``.

Exit status: 0 done, 1 refused, 2 wrong usage or setting, 3 not found, 4 a check failed. ``--json`` wherever a
program may read the answer. What is changed here is audited as ``cli:<user of the operating system>``.

``commands``  the frame: errors to exit codes, tables and JSON, settings and database
``server``    run, doctor, config
``database``  db
``access``    tenant, connection, token; ``sso`` the login half of a connection
``people``    user, group; ``accounts`` how they get in, admin, logins
``demo``      demo
"""

from __future__ import annotations

import click

from .. import __version__
from . import access, accounts, database, demo, people, server


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="scim-server")
def main() -> None:
    """The account server: SCIM 2.0 for identity providers, on SQLite or PostgreSQL."""


for _command in (
    server.run,
    server.doctor,
    server.configuration,
    database.db,
    access.tenant,
    access.connection,
    access.token,
    people.user,
    people.group,
    accounts.admin,
    accounts.login_log,
    demo.demo,
):
    main.add_command(_command)
