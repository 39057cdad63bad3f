"""One model: families of estimators, pipelines, fitting, calibration, scores, importance."""
