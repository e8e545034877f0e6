"""How the directory is kept: tables, statements, transactions. SQLite and PostgreSQL.

``tables``        every table, one metadata; every primary key begins with the tenant
``engine``        one connection per thread, and statements compiled once
``transaction``   read(actor) / write(actor): bound to one tenant
``documents``     resources: insert, lock, save, serve, delete
``members``       memberships as rows: set statements, and the groups of a user
``search``        resolved filter -> SQL; sort, count, page
``migrate``       Alembic, driven from code
"""
