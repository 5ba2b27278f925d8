"""Training compute: C = 6 N D, for N parameters and D tokens. The one place that knows it.

Two FLOPs per parameter and token forwards, four backwards (Kaplan et al. 2020, section 2.1;
attention left out). The functions take numbers, arrays and Polars expressions alike. Multiply in
float64: 6 N D overflows 64-bit integers at the scale of today's runs.
"""

from __future__ import annotations

from typing import Any

FLOPS_PER_PARAM_TOKEN = 6.0
# What scoring costs: the forward pass alone.
FORWARD_FLOPS_PER_PARAM_TOKEN = 2.0


def training_flops(params: Any, tokens: Any) -> Any:
    """Training compute C of N parameters on D tokens."""
    return FLOPS_PER_PARAM_TOKEN * params * tokens


def tokens_for_flops(flops: Any, params: Any) -> Any:
    """Tokens D that compute C pays for at N parameters."""
    return flops / (FLOPS_PER_PARAM_TOKEN * params)


def params_for_flops(flops: Any, tokens: Any) -> Any:
    """Parameters N that compute C pays for on D tokens."""
    return flops / (FLOPS_PER_PARAM_TOKEN * tokens)


def scoring_flops(params: Any, tokens: Any) -> Any:
    """Compute of scoring D tokens with N parameters."""
    return FORWARD_FLOPS_PER_PARAM_TOKEN * params * tokens
