"""Experiments, model versions and aliases."""
