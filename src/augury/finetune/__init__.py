"""Sweeps: finetune checkpoints and measure the result. Imports training and evaluation."""

from augury.finetune.outside import collect_outside, plan_outside
from augury.finetune.processes import ProcessError
from augury.finetune.sweep import SweepError, finetune_sweep

__all__ = ["ProcessError", "SweepError", "collect_outside", "finetune_sweep", "plan_outside"]
