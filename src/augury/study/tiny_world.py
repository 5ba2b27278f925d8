"""The study of the tiny world that `augury demo` runs: both questions on one ladder."""

from __future__ import annotations

from string import Template

from augury.errors import UsageError
from augury.lab.config import BATCH, BLOCK
from augury.lab.corpus import LENGTH
from augury.lab.model import ModelConfig

# Six widths to learn from, two seeds each, since the spread between seeds (up to a factor of 5) is
# most of the uncertainty of a forecast for one run; two widths to forecast.
FITTED, HELD_OUT = (6, 8, 12, 16, 24, 32), (48, 64)
SEEDS = 2
RATE, EMERGING = "rule", "sort-digits"
# Number of measurements of every model during training: trends over training need five checkpoints.
CHECKPOINTS = 5

# Shares and steps were chosen on the fitted sizes of seeds 100 and 101, 500 steps: few-shot scores
# on sort-digits up to .015 at width 32, below the .03 that counts as emerged, and rates of rule
# from 2e-6 to 1e-3 without a leap. With .5 of rule they leap 24-fold between widths 16 and 24, with
# .6 and 600 steps width 32 sorts already (.03).
TEXT = """\
#:schema ./study.schema.json
# The tiny world, as `augury demo` tells it. `augury run` runs this file as well; change it, and
# what follows from the change is done again, and nothing else.

name = "tiny-world"

[lab]                                # GPTs of 1,518 parameters and more
widths = $widths
steps = $steps
checkpoints = $checkpoints
seeds = $seeds
shares = { rule = 0.6, sort-digits = 0.1 } # of the training text; the rest is made-up words

# One example of a rule on six digits, then six more to apply it to: how many will pass?
[[tasks]]
name = "rule"
question = "pass-rate"
instances = 1024

# Sort three to eight digits: at which loss, and which size, does that come without finetuning?
[[tasks]]
name = "sort-digits"
question = "emergence"
instances = 512

[finetune]                           # models that cannot sort yet
amounts = [30, 60, 120, 240]
subsets = 2
learning_rate = 0.005                # at the middle width
steps = 250
every = 25                           # few examples are learned by heart within a hundred steps
patience = 6
instances = 512
checkpoints = [$steps]

[forecast]                           # straight and curved growth over size, and through the loss
laws = ["pass-rate", "curved-pass-rate:x0=8000", "power+pass-rate:over=loss"]
loss_law = "power"                   # all are trained on as many tokens

[target]
params = $params
tokens = $tokens

[held_out]                           # trained when both forecasts are written down, not before
widths = $held_out
"""


def tiny_world(steps: int, seed: int) -> str:
    """Return its study file.

    Args:
        steps: of every model's training.
        seed: the first of the two.

    Raises:
        UsageError: the steps are not a positive multiple of 50.
    """
    if steps <= 0 or steps % BLOCK:
        raise UsageError(f"steps must be a positive multiple of {BLOCK}, not {steps}")
    shares = [k / CHECKPOINTS for k in range(1, CHECKPOINTS)]
    early = sorted({max(round(steps * s / BLOCK), 1) * BLOCK for s in shares} - {steps})
    return Template(TEXT).substitute(
        widths=[*FITTED, *HELD_OUT],
        steps=steps,
        checkpoints=early,
        seeds=[seed + i for i in range(SEEDS)],
        params=float(ModelConfig(HELD_OUT[-1]).params),
        tokens=float(steps * BATCH * LENGTH),
        held_out=list(HELD_OUT),
    )
