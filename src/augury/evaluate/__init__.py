"""Evaluating: tasks, backends, and exact pass probabilities."""

from augury.evaluate.backend import Backend, NextRequest, SampleRequest, Score, ScoreRequest
from augury.evaluate.exact import ExactScores, exact_scores
from augury.evaluate.greedy import greedy_texts
from augury.evaluate.lab import LabBackend
from augury.evaluate.measure import measure
from augury.evaluate.tasks import Instance, Task, lab_instances

__all__ = [
    "Backend",
    "ExactScores",
    "Instance",
    "LabBackend",
    "NextRequest",
    "SampleRequest",
    "Score",
    "ScoreRequest",
    "Task",
    "exact_scores",
    "greedy_texts",
    "lab_instances",
    "measure",
]
