"""Columns of a table: what each is used as, and how they become numbers."""
