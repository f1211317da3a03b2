"""Servers that tests start on loopback: an object store and a database, as processes of their own."""
