"""Pass rates by hand: plain transformers, one forward pass per question, nothing of Augury's.

The probability of the answer's tokens times that of every token that begins with a line break, or
ends the text. One way of writing the answer: others add less than one per cent.
"""

from __future__ import annotations

from typing import Any

# What llama.cpp's server leaves of a distribution unless it is told not to, in this order.
TOP_K, TOP_P, MIN_P = 40, 0.95, 0.05


def rates(
    model: Any, tokenizer: Any, questions: list[tuple[str, str]], *, cut: bool = False
) -> list[float]:
    """Of each (prompt, answer), at temperature 1; `cut` as llama.cpp's server does by default."""
    import torch

    ends = [t for t in range(len(tokenizer)) if tokenizer.decode([t]).startswith("\n")]
    ends.append(tokenizer.eos_token_id)
    found = []
    for prompt, answer in questions:
        asked = tokenizer(prompt)["input_ids"]
        said = tokenizer(answer, add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            logits = model(torch.tensor([asked + said])).logits[0].double()
        table = (truncated(logits) if cut else logits).log_softmax(-1)
        log = sum(float(table[len(asked) - 1 + k, t]) for k, t in enumerate(said))
        found.append(float(torch.exp(torch.tensor(log)) * table[-1, ends].exp().sum()))
    return found


def truncated(logits: Any) -> Any:
    """Logits with -inf where top-k, then top-p of what is left, then min-p rule a token out."""
    import torch

    best, order = logits.topk(TOP_K, -1)
    share = best.softmax(-1)
    before = share.cumsum(-1) - share
    out = (before >= TOP_P) | (share < MIN_P * share[:, :1])
    return torch.full_like(logits, -torch.inf).scatter(-1, order, best.masked_fill(out, -torch.inf))
