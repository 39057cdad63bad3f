"""Evaluation: tests, gates, comparisons."""
