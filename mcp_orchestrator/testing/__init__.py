"""What others test their own parts with: the suite that every executor must pass."""
