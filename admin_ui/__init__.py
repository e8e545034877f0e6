"""The office: admins mend accounts by hand. Stands on ``scim_server.directory``."""
