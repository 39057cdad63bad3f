"""Evaluations of agents: tasks in plain words, each judged by the state that is left. See docs/evaluations.md."""
