"""Laws: one a file, each a pure function with named, bounded parameters."""

from augury.laws.base import Law, Parameter, positive, power, real
from augury.laws.broken_power import BrokenPowerLaw
from augury.laws.chinchilla import Chinchilla
from augury.laws.compute import ComputeLaw
from augury.laws.exponential_error import ExponentialError
from augury.laws.kaplan import Kaplan
from augury.laws.logistic_task import LogisticTask
from augury.laws.pass_rate import CurvedPassRate, PassRate
from augury.laws.power_law import PowerLaw
from augury.laws.registry import all_laws, law, parse_law, register
from augury.laws.threshold_task import ThresholdTask

__all__ = [
    "BrokenPowerLaw",
    "Chinchilla",
    "ComputeLaw",
    "CurvedPassRate",
    "ExponentialError",
    "Kaplan",
    "Law",
    "LogisticTask",
    "Parameter",
    "PassRate",
    "PowerLaw",
    "ThresholdTask",
    "all_laws",
    "law",
    "parse_law",
    "positive",
    "power",
    "real",
    "register",
]
