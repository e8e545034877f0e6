"""The heart: who exists, who may, what happened. Free of the web.

``actor``        who acts, through which door, in which tenant
``tenants``      create, list
``users``        the life of a person: create, replace, patch, delete, restore, get
``groups``       the same verbs for groups; members are a set
``lookup``       search over both kinds
``connections``  a tenant's senders and their settings
``tokens``       mint, verify, rotate, revoke bearer tokens
``figures``      counts for the metrics
``checks``       what ``doctor`` looks at
``audit``        who did what: before and after, in the transaction of the change
``events``       the outbox, appended beside the change
``errors``       what can go wrong
``store``        the database below

Verbs are functions that take a transaction first. The transaction is bound to one tenant when it is opened,
so no verb takes a tenant. There is one way to change a person, and every rule stands there, once.
"""
