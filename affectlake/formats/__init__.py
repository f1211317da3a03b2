"""Readers of files that users have: one module a format."""
