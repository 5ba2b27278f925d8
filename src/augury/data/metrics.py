"""Known metrics by name: which direction is better, and what one instance can score.

The direction of a metric, and whether its mean over n instances is a share of n trials, are facts
about the metric. They are read from the result file or looked up here, never guessed from the
numbers: a falling perplexity is an improvement, and an F1 between 0 and 1 is not a share of n.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One known metric.

    Attributes:
        higher_is_better: its direction.
        is_outcome: whether an instance scores 0 or 1, so that n instances are n trials. None if it
            depends on how the metric was measured.
    """

    higher_is_better: bool
    is_outcome: bool | None


def _named(names: str, higher_is_better: bool, is_outcome: bool | None) -> dict[str, Metric]:
    return dict.fromkeys(names.split(), Metric(higher_is_better, is_outcome))


# Names as tools write them, in lower case, without the filter after a comma.
METRICS: dict[str, Metric] = {
    # A correct answer is 1, a wrong one 0.
    **_named(
        "acc accuracy acc_norm acc_norm_nospace acc_bytes acc_mutual_info acc_all acc_completion "
        "exact_match em exact quasi_exact_match prefix_exact_match prefix_quasi_exact_match qem "
        "pem pqem extractive_match math_verify prompt_level_strict_acc prompt_level_loose_acc mc1 "
        "pct_stereotype bleu_acc rouge1_acc rouge2_acc rougel_acc greedy passed correct "
        "is_correct win",
        True,
        True,
    ),
    # The metric of a table without a column `metric`.
    **_named("score", True, None),
    # The share of passing answers: trials only if they were counted (passes and samples).
    **_named("pass base plus pass@1 maj@4 maj@8 maj@64", True, None),
    # Between 0 and 1 or on another scale, but an instance can score anything in between.
    **_named(
        "f1 f1_macro f1_micro macro_f1 micro_f1 mcc matthews_correlation mc2 bleu bleu_max "
        "sacrebleu chrf chrf++ rouge rouge1 rouge2 rougel rougelsum rouge1_max rouge2_max "
        "rougel_max meteor bertscore bert_score comet recall precision ndcg ndcg@10 mrr map auc "
        "auroc iou r2 pearson spearman kendall best_f1 hasans_f1 noans_f1 logprob log_likelihood "
        "loglikelihood inst_level_strict_acc inst_level_loose_acc balanced_acc",
        True,
        False,
    ),
    **_named(
        "loss val_loss eval_loss nll cross_entropy bpb bits_per_byte bits_per_char ppl perplexity "
        "word_perplexity byte_perplexity token_perplexity brier brier_score ece mae mse rmse mape "
        "wer cer ter edit_distance smape",
        False,
        False,
    ),
}  # fmt: skip
_PASS_AT = re.compile(r"(pass|maj|cons|avg|best)@\d+(:\d+.*)?$")
_ROUGE = re.compile(r"rouge[12l]")


def find_metric(name: str | None) -> Metric | None:
    """Look up a metric; None if it is unknown.

    A filter after a comma ("exact_match,strict-match") and a scorer before a slash
    ("match/accuracy") do not change what a metric is.
    """
    if name is None:
        return None
    plain = name.partition(",")[0].strip().lower()
    for known in (
        plain,
        plain.rpartition("/")[2],
        plain.replace("-", "_"),
        plain.partition(":")[0],
    ):
        if known in METRICS:
            return METRICS[known]
    if _PASS_AT.match(plain):
        return Metric(True, None)
    if _ROUGE.match(plain):
        return Metric(True, False)
    return None


def higher_is_better(name: str | None) -> bool | None:
    """Return the direction of a metric, or None if it is unknown."""
    known = find_metric(name)
    return None if known is None else known.higher_is_better


# Keys beside scores that are not scores.
_SPREAD = re.compile(
    r"(^|_)(std|stdev|std_?dev|std_?err|stderr|sem|variance|ci(_?\d+)?|ci_?(low|high|lower|upper))$",
    re.IGNORECASE,
)
_COUNT = re.compile(
    r"^(n|count|counts|total|support|(num|n|nr|number_of|total)_(samples|instances|examples|docs"
    r"|questions|tokens|prompts)|sample_size|.+_count)$",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"^((total_|eval_|evaluation_)?(time|runtime|duration|latency)(_s|_seconds)?|seconds)$",
    re.IGNORECASE,
)


def why_not_a_score(name: str) -> str | None:
    """Return why the number under this key is not a score, or None if it may be one."""
    plain = name.partition(",")[0].strip()
    if _SPREAD.search(plain):
        return "a measure of spread is not a score"
    if _COUNT.match(plain):
        return "a count is not a score"
    if _TIME.match(plain):
        return "a duration is not a score"
    return None


def is_sentinel(name: str, value: float) -> bool:
    """Return whether a value means "not run": -1 for a metric that cannot be negative.

    RULER names its metrics by context length, and writes -1 for lengths it did not run.
    """
    if value != -1:
        return False
    plain = name.partition(",")[0].strip()
    known = find_metric(plain)
    if known is None:
        return plain.isdecimal()
    return known.is_outcome is True or not known.higher_is_better
