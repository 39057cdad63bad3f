"""Data: loading, checking and splitting tables."""
