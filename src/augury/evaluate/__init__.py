"""Evaluation: tasks, backends, PassUntil, and exact pass probabilities."""

from augury.evaluate.backend import Backend, NextRequest, SampleRequest, Score, ScoreRequest
from augury.evaluate.checkers import Checker, checker
from augury.evaluate.exact import ExactScores, exact_scores
from augury.evaluate.greedy import greedy_texts
from augury.evaluate.measurement import measure
from augury.evaluate.pass_counts import PassCounts
from augury.evaluate.passuntil import pass_until
from augury.evaluate.passuntil_run import Progress
from augury.evaluate.tasks import Instance, Task, read_task

__all__ = [
    "Backend",
    "Checker",
    "ExactScores",
    "Instance",
    "NextRequest",
    "PassCounts",
    "Progress",
    "SampleRequest",
    "Score",
    "ScoreRequest",
    "Task",
    "checker",
    "exact_scores",
    "greedy_texts",
    "measure",
    "pass_until",
    "read_task",
]
