"""Public data for checking laws, and their published constants."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from augury.laws import Law
from augury.laws.schedules import schedule_columns

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
# Muennighoff et al. 2023: the constants of the base, then of the repeats.
BASE = (float(np.exp(0.6254804)), float(np.exp(6.255414)), float(np.exp(7.3049974)), 0.3526596)
REPEATS = {"R_D": 15.387756, "R_N": 5.309743}

PEAK, LAST, WARM_UP = 3e-4, 3e-5, 2160
# Constants of Luo et al. 2025 (their config.py), and the mean relative error over six curves.
NAMES = ("L_0", "A", "alpha", "B", "C", "beta", "gamma")
MULTI_POWER = {
    25e6: ((3.04045406, 0.52468604, 0.50786857, 363.78751622, 2.06560812, 0.58279013, 0.64142257),
           0.00110),
    100e6: ((2.6514477, 0.60115152, 0.45295811, 437.9464276, 2.13245612, 0.59785199, 0.65523644),
            0.00142),
    400e6: ((2.37474466, 0.65421216, 0.42878731, 523.42464371, 2.02462735, 0.59350493, 0.63472457),
            0.00168),
}  # fmt: skip
# Powers of the release (10 is near an exponential) and of the learning rate.
SHAPES = tuple((beta, gamma) for beta in (0.5, 1.0, 2.0, 10.0) for gamma in (0.0, 0.5, 1.0))


def muennighoff() -> pl.DataFrame:
    """The 182 runs to which the published law was fitted."""
    table = pl.read_csv(DATA / "datablations" / "runs_outliers_removed_182.csv")
    return table.rename({"val_loss": "loss"}).drop("name")


def gadre(dataset: str = "rpj", *, more: bool = False) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Their five small runs and the two large runs they forecast, with C4 loss and error.

    `more`: add the 1.4B run at 20 tokens per parameter, which their law of errors uses.
    """
    folder = DATA / "gadre"
    tasks = json.loads((folder / "task_splits.json").read_text())
    tasks = next(x for x in tasks.values() if isinstance(x, list) and len(x) == 17)
    losses = pl.read_csv(folder / "losses.csv").filter(pl.col("val_set") == "c4_val")
    runs = pl.read_csv(folder / "models_downstream.csv").filter(pl.col("dataset") == dataset)
    table = runs.join(losses.select("name", "loss"), on="name").select(
        "params",
        pl.col("tokens").cast(pl.Float64),
        "loss",
        multiple="chinchilla_multiplier",
        value=1 - pl.mean_horizontal(*(f"icl/{t.removeprefix('icl/')}" for t in tasks)),
    )
    multiple, params = pl.col("multiple"), pl.col("params")
    small = ((multiple == 1) & (params < 5e8)) | ((multiple == 16) & (params < 2e7))
    if more:
        small = small | ((multiple == 1) & (params > 1e9) & (params < 5e9))
    large = ((multiple == 32) & (params > 1e9)) | ((multiple == 1) & (params > 5e9))
    return table.filter(small), table.filter(large).sort("params")


def clark(router: str) -> pl.DataFrame:
    """Runs of one router at step 249,000, with the dense runs."""
    table = pl.read_csv(DATA / "moe-routing" / "final_step_249000.csv")
    kind = pl.col("router_type")
    routed = (kind == router) & (pl.col("k") == 1) & (pl.col("routing_frequency") == 0.5)
    dense = (kind == "Dense") & (pl.col("flop_increase").fill_null(1) == 1)
    return table.filter(routed | dense).select(
        params_active="dense_parameter_count", experts="num_experts", loss="loss_validation"
    )


def schedule(curve: str, steps: int) -> np.ndarray:
    """Learning rate of every step, by the schedules described in the data's source."""
    kind, *numbers = curve.split("_")
    t = np.arange(1, steps + 1)
    rate = np.full(steps, PEAK)
    if kind == "cosine":
        angle = np.pi * (t - WARM_UP) / (int(numbers[0]) - WARM_UP)
        rate = LAST + (PEAK - LAST) / 2 * (1 + np.cos(angle))
    elif kind == "wsd":
        rate = np.where(t < 20000, PEAK, PEAK * 0.1 ** ((t - 20000) / 4000))
    elif kind == "wsdld":
        rate = np.where(t < 20000, PEAK, PEAK - (PEAK - LAST) * (t - 20000) / 4000)
    elif kind == "wsdcon":
        rate = np.where(t < 8000, PEAK, float(numbers[0]) * 1e-5)
    return np.where(t < WARM_UP, PEAK * t / WARM_UP, rate)


def curves(params: float) -> pl.DataFrame:
    """The nine curves of a size, with the columns that laws use."""
    parts = []
    table = pl.read_csv(DATA / "lr-schedules" / "curves.csv").filter(pl.col("params") == params)
    for (curve,), own in table.group_by("curve", maintain_order=True):
        columns = schedule_columns(schedule(str(curve), 73000), own["step"].to_numpy())
        parts.append(
            own.with_columns(
                pl.Series(n, list(x) if x.ndim > 1 else x) for n, x in columns.items()
            ).rename({"curve": "model"})
        )
    return pl.concat(parts)


def curve_inputs(law: Law, rows: pl.DataFrame) -> dict[str, np.ndarray]:
    """The inputs of a law from the rows of a curve."""
    return {name: np.array(rows[name].to_list()) for name in law.inputs}


def curve_error(law: Law, parameters: dict[str, float], table: pl.DataFrame) -> float:
    """Mean over the six test curves of the mean relative error."""
    return mean_curve_error([(law, parameters)], table)


def mean_curve_error(laws: Sequence[tuple[Law, dict[str, float]]], table: pl.DataFrame) -> float:
    """Mean over the six test curves of the mean relative error of the laws' mean forecast."""
    off = []
    for _, own in table.filter(pl.col("split") == "test").group_by("model"):
        value = np.mean([law(p, **curve_inputs(law, own)) for law, p in laws], 0)
        off.append(np.mean(np.abs(value / own["loss"].to_numpy() - 1)))
    return float(np.mean(off))
