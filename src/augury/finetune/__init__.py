"""Sweeps: train checkpoints further and measure what comes of it. Knows training and evaluating."""

from augury.finetune.outside import collect_outside, plan_outside
from augury.finetune.sweep import SweepError, finetune_sweep

__all__ = ["SweepError", "collect_outside", "finetune_sweep", "plan_outside"]
