"""The pipeline functions for scripts and notebooks: arrays in, a fitted scikit-learn pipeline and honest figures out.

    results = run_ml_workflow(feature_specs, model_spec, X, y, tuning_spec=TuningSpec(param_grid={...}))
    print(get_workflow_summary(results))

They need no server and no state home. A test part is locked away first; tuning, calibration and validation see the
training part only. An optional part that fails is left out, named in ``results["steps"]``, and ``results["degraded"]``
is set.
"""

from mcp_orchestrator.pipeline.specs import (
    CalibrationSpec,
    FeatureSpec,
    FeatureStoreSpec,
    MLflowSpec,
    ModelSpec,
    TuningSpec,
)
from mcp_orchestrator.pipeline.workflow import build_ml_pipeline, get_workflow_summary, run_ml_workflow

__all__ = [
    "CalibrationSpec",
    "FeatureSpec",
    "FeatureStoreSpec",
    "MLflowSpec",
    "ModelSpec",
    "TuningSpec",
    "build_ml_pipeline",
    "get_workflow_summary",
    "run_ml_workflow",
]
