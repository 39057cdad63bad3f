"""What several components share: tables, pipelines, metrics, tests, plots; heavy libraries inside functions."""
