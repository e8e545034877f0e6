"""How the directory is kept: tables, statements, transactions. SQLite and PostgreSQL.

``tables``        every table, one metadata; every primary key begins with the tenant
``engine``        one connection per thread, and statements compiled once
``transaction``   read(actor) / write(actor): bound to one tenant
``documents``     resources: insert, lock, save, serve, delete
``members``       memberships as rows: set statements, and the groups of a user
``search``        filter, sort, count, page
``conditions``    resolved filter -> SQL condition, and its parameters
``columns``       where each attribute is kept
``expressions``   what the two databases write differently
``deleted``       deleted resources, for restoration
``migrate``       Alembic, driven from code
"""
