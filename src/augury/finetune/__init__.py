"""Sweeps: train checkpoints further and measure what comes of it. Knows training and evaluating."""

from augury.finetune.sweep import SweepError, finetune_sweep

__all__ = ["SweepError", "finetune_sweep"]
