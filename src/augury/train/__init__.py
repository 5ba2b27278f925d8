"""The lab: tiny GPTs on a synthetic corpus, in which abilities emerge on a laptop."""

from augury.train.checkpoint import Checkpoint, load_checkpoint
from augury.train.config import RunConfig
from augury.train.corpus import LENGTH
from augury.train.finetune import Curve, Pair, Recipe, Stopping, finetune
from augury.train.ladder import TrainingError, train_ladder
from augury.train.model import ModelConfig, Weights, behind, empty_cache, extend, logits, prefill
from augury.train.tasks import ALPHABET, BEGIN, TASKS, LabTask, decode, encode, lab_task
from augury.train.trainer import shifted, train

__all__ = [
    "ALPHABET",
    "BEGIN",
    "LENGTH",
    "TASKS",
    "Checkpoint",
    "Curve",
    "LabTask",
    "ModelConfig",
    "Pair",
    "Recipe",
    "RunConfig",
    "Stopping",
    "TrainingError",
    "Weights",
    "behind",
    "decode",
    "empty_cache",
    "encode",
    "extend",
    "finetune",
    "lab_task",
    "load_checkpoint",
    "logits",
    "prefill",
    "shifted",
    "train",
    "train_ladder",
]
