"""Whether a model or a table is fit for use: gates, slices, fairness, calibration, checklists."""
