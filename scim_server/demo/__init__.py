"""The demonstration: an invented company whose people log in, and out at once when their account ends.

``company``   the personas and some two hundred invented people
``sender``    the company's SCIM client, with every request and answer kept to be shown
``provider``  its identity provider, where a visitor chooses who to be
``desk``      its HR desk, where a person is deactivated
``acting``    what the desk and the command line do alike
``web``       pages on loopback
``stage``     all of it started, announced, and cleared away

Everything is real but the people: the server is the program itself in a process of its own, spoken to over HTTP.
Needs the extra ``demo``; nothing of the product imports it but the command.
"""
