"""The login as a person meets it: every page in a real Chromium, by mouse, by keyboard and without JavaScript."""
