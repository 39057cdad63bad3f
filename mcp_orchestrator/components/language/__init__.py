"""Language and scores of text."""
