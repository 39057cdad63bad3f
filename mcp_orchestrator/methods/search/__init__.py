"""The search among candidates: folds, proposals, processes, blends, studies that last."""
