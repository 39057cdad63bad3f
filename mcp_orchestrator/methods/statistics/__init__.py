"""Tests of hypotheses, intervals, power, drift, agreement."""
