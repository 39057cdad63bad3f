"""The engine: registry, journal, runs, workers. Imports no ML library."""
