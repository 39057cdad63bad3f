"""What is told of a run: facts, card, pictures, MLflow."""
