"""Training: estimators, search, stopping, the registry."""
