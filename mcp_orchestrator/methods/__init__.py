"""What several components share: tables, pipelines, metrics, tests, plots. Heavy libraries are imported inside functions."""
