"""The lab: tiny GPTs on a synthetic corpus, in which abilities emerge on a laptop."""

from augury.lab.backend import LabBackend
from augury.lab.checkpoint import Checkpoint, load_checkpoint
from augury.lab.config import RunConfig
from augury.lab.corpus import LENGTH
from augury.lab.finetuner import LossCurve, Pair, Recipe, Stopping, finetune
from augury.lab.instances import lab_instances
from augury.lab.ladder import TrainingError, train_ladder
from augury.lab.model import ModelConfig, Weights, behind, empty_cache, extend, logits, prefill
from augury.lab.subspace import Subspace, random_subspace
from augury.lab.tasks import ALPHABET, BEGIN, TASKS, LabTask, decode, encode, lab_task
from augury.lab.trainer import shifted, train

__all__ = [
    "ALPHABET",
    "BEGIN",
    "LENGTH",
    "TASKS",
    "Checkpoint",
    "LabBackend",
    "LabTask",
    "LossCurve",
    "ModelConfig",
    "Pair",
    "Recipe",
    "RunConfig",
    "Stopping",
    "Subspace",
    "TrainingError",
    "Weights",
    "behind",
    "decode",
    "empty_cache",
    "encode",
    "extend",
    "finetune",
    "lab_instances",
    "lab_task",
    "load_checkpoint",
    "logits",
    "prefill",
    "random_subspace",
    "shifted",
    "train",
    "train_ladder",
]
