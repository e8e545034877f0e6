"""Identity providers to log in with: real HTTP on loopback, independent of the product and of its libraries."""
