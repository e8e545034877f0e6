"""The benchmark suite: what a request costs, as a ratio to the least that any server could do.

``floor``    a bare WSGI callable with one primary-key SELECT on the same database
``people``   invented people and groups, loaded in bulk
``client``   a small HTTP client that keeps connections open
``__main__`` ``python -m bench``: runs both under the same HTTP server in turns and prints the ratios

Ratios of one run are worth keeping; figures of two runs, or of two machines, are not to be compared.
"""
