"""The law: RFC 7643 and RFC 7644 as pure functions, without I/O, clock, SQL or web.

``schemas``      the attribute table: one row per attribute of every resource type; everything reads it
``documents``    request body -> checked, normalised document
``operations``   PATCH request -> checked operations
``patch``        operations applied to a document, member changes parted from it
``filters``      filter text -> resolved tree, and its evaluation on one value in memory
``projection``   ``attributes`` / ``excludedAttributes``
``render``       document <-> the text that is stored, and the text that is served
``senders``      what senders may deviate in, each deviation with its name
``discovery``    /ServiceProviderConfig, /ResourceTypes, /Schemas
``errors``       one class per SCIM error

scim2-models is imported in this package only: it defines the schemas, the grammar of filters and paths,
and the error classes. It is not used to validate or to render, which it does a hundred times too slowly.
"""
