"""The SCIM door: HTTP in, HTTP out. Thin WSGI beside Flask's own dispatch (design decision 14).

``door``       the WSGI callable: one request in, one answer out, whatever happens
``requests``   HTTP -> plain values: body, paging, projection, preconditions
``auth``       bearer token -> Actor; refuses by default
``routes``     what each method of each path does; users and groups are one pipeline with the kind as argument
``responses``  stored text and rows -> HTTP
``errors``     exception -> status, scimType and a sentence
"""
