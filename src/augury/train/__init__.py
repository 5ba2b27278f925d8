"""The lab: tiny GPTs on a synthetic corpus, in which abilities emerge on a laptop."""

from augury.train.corpus import LENGTH
from augury.train.ladder import train_ladder
from augury.train.model import ModelConfig, Weights, forward
from augury.train.tasks import ALPHABET, CODE, TASKS, LabTask, Tokens, decode, encode, lab_task
from augury.train.trainer import (
    Checkpoint,
    RunConfig,
    load_checkpoint,
    logprobs_of,
    train,
    validation_text,
)

__all__ = [
    "ALPHABET",
    "CODE",
    "LENGTH",
    "TASKS",
    "Checkpoint",
    "LabTask",
    "ModelConfig",
    "RunConfig",
    "Tokens",
    "Weights",
    "decode",
    "encode",
    "forward",
    "lab_task",
    "load_checkpoint",
    "logprobs_of",
    "train",
    "train_ladder",
    "validation_text",
]
