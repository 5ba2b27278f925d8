"""Trends: which abilities rise, fall, turn or leap over the course of pretraining."""
