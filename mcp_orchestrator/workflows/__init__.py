"""Workflows: each a page of prose over steps."""
