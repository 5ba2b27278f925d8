"""Training compute: C = 6 N D, for N parameters and D tokens. Defined only here.

Two FLOPs per parameter and token forwards, four backwards (Kaplan et al. 2020, section 2.1; without
attention). The functions take numbers, arrays and Polars expressions. Multiply in float64: 6 N D
overflows 64-bit integers for today's runs.
"""

from __future__ import annotations

from typing import Any

FLOPS_PER_PARAM_TOKEN = 6.0
# The cost of scoring: the forward pass alone.
FORWARD_FLOPS_PER_PARAM_TOKEN = 2.0


def training_flops(params: Any, tokens: Any) -> Any:
    """Return the training compute C of N parameters on D tokens."""
    return FLOPS_PER_PARAM_TOKEN * params * tokens


def tokens_for_flops(flops: Any, params: Any) -> Any:
    """Return the tokens D that compute C pays for at N parameters."""
    return flops / (FLOPS_PER_PARAM_TOKEN * params)


def params_for_flops(flops: Any, tokens: Any) -> Any:
    """Return the parameters N that compute C pays for on D tokens."""
    return flops / (FLOPS_PER_PARAM_TOKEN * tokens)


def scoring_flops(params: Any, tokens: Any) -> Any:
    """Return the compute of scoring D tokens with N parameters."""
    return FORWARD_FLOPS_PER_PARAM_TOKEN * params * tokens
