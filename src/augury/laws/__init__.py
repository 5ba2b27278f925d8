"""Laws: one per file, each a pure function with named, bounded parameters."""

from importlib import import_module
from typing import Any

from augury.laws.average_params import AverageParams, mean_params, with_params_mean
from augury.laws.base import Law, Parameter, positive, power, real
from augury.laws.batch_trajectory import BatchTrajectory
from augury.laws.broken_power import BrokenPowerLaw
from augury.laws.chain import Chain
from augury.laws.chinchilla import Chinchilla
from augury.laws.compute import ComputeLaw
from augury.laws.compute_sigmoid import ComputeSigmoid
from augury.laws.constant import Constant
from augury.laws.data_constrained import DataConstrained
from augury.laws.direct_task import DirectTask
from augury.laws.distillation import Distillation
from augury.laws.effective_params import EffectiveParams
from augury.laws.effective_share import EffectiveShare
from augury.laws.expert_power import ExpertPower
from augury.laws.exponential_error import ExponentialError
from augury.laws.exponential_mixing import ExponentialMixing
from augury.laws.finetune_product import FinetuneProduct
from augury.laws.grouped import Grouped
from augury.laws.implicit import implicit_root
from augury.laws.infinite_compute import InfiniteCompute
from augury.laws.inputs import Curve, Group, Input, NonNegative, Positive, Real, Share
from augury.laws.joint_chinchilla import JointChinchilla
from augury.laws.joint_experts import JointExperts
from augury.laws.kaplan import Kaplan
from augury.laws.learning_rate_bowl import LearningRateBowl
from augury.laws.logistic_task import LogisticTask
from augury.laws.loss_perceptron import LossPerceptron
from augury.laws.loss_to_loss import LossToLoss, pair_losses
from augury.laws.momentum import Momentum
from augury.laws.multi_power import MultiPower
from augury.laws.over_training import OverTraining
from augury.laws.parallel_streams import ParallelStreams
from augury.laws.pass_at_k import PassAtK
from augury.laws.pass_rate import CurvedPassRate, PassRate
from augury.laws.power_law import PowerLaw
from augury.laws.precision import Precision
from augury.laws.rectified import Rectified
from augury.laws.registry import all_laws, law, law_from, law_record, parse_law, register
from augury.laws.routed import Routed
from augury.laws.sampling_share import SamplingShare
from augury.laws.saturated_power import SaturatedPower
from augury.laws.schedules import with_schedule
from augury.laws.shots_mixture import ShotsMixture
from augury.laws.skaling import Skaling
from augury.laws.three_powers import ThreePowers
from augury.laws.threshold_task import ThresholdTask
from augury.laws.transferred_data import TransferredData
from augury.laws.vocabulary import Vocabulary

__all__ = [
    "AverageParams",
    "BatchTrajectory",
    "BrokenPowerLaw",
    "Chain",
    "Chinchilla",
    "ComputeLaw",
    "ComputeSigmoid",
    "Constant",
    "Curve",
    "CurvedPassRate",
    "DataConstrained",
    "DirectTask",
    "Distillation",
    "EffectiveParams",
    "EffectiveShare",
    "ExpertPower",
    "ExponentialError",
    "ExponentialMixing",
    "FinetuneProduct",
    "Group",
    "Grouped",
    "InfiniteCompute",
    "Input",
    "JointChinchilla",
    "JointExperts",
    "Kaplan",
    "Law",
    "LearningRateBowl",
    "LogisticTask",
    "LossPerceptron",
    "LossToLoss",
    "Momentum",
    "MultiPower",
    "NonNegative",
    "OverTraining",
    "ParallelStreams",
    "Parameter",
    "PassAtK",
    "PassRate",
    "Positive",
    "PowerLaw",
    "Precision",
    "Real",
    "Rectified",
    "Routed",
    "SamplingShare",
    "SaturatedPower",
    "Share",
    "ShotsMixture",
    "Skaling",
    "ThreePowers",
    "ThresholdTask",
    "TransferredData",
    "Vocabulary",
    "all_laws",
    "check_law",
    "implicit_root",
    "law",
    "law_from",
    "law_record",
    "mean_params",
    "pair_losses",
    "parse_law",
    "positive",
    "power",
    "real",
    "register",
    "with_params_mean",
    "with_schedule",
]


def __getattr__(name: str) -> Any:
    # Checking a law fits it, and fitting imports laws: looked up by name on first use.
    if name == "check_law":
        return import_module("augury.fitting.law_check").check_law
    raise AttributeError(f"module 'augury.laws' has no attribute '{name}'")
