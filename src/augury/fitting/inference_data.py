"""Conversion of a fit's draws to ArviZ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from augury.errors import UsageError
from augury.fitting.posterior import CHAINS

if TYPE_CHECKING:
    from augury.fitting.result import Fit


def inference_data(fitted: Fit) -> Any:
    """Convert a fit's draws: see `Fit.to_inference_data`."""
    try:
        import arviz
    except ImportError as error:
        raise UsageError('to_inference_data() needs ArviZ: pip install "augury[arviz]"') from error
    if len(fitted.draws) == 0:
        raise UsageError("the fit has no draws: fit with uncertainty 'laplace' or 'nuts'")
    # NUTS stores its chains one after the other.
    chains = CHAINS if fitted.uncertainty == "nuts" and len(fitted.draws) % CHAINS == 0 else 1
    by_chain = fitted.draws.reshape(chains, -1, len(fitted.parameters))
    inputs = [n for n in fitted.law.inputs if n in fitted.data.columns]
    groups = {
        "posterior": {name: by_chain[:, :, i] for i, name in enumerate(fitted.parameters)},
        "observed_data": {"y": fitted.data["y"].to_numpy()},
        "constant_data": {n: fitted.data[n].to_numpy() for n in inputs},
    }
    if int(arviz.__version__.split(".")[0]) >= 1:  # groups became one argument
        return arviz.from_dict(groups)
    return arviz.from_dict(**groups)
