"""Pass rates by hand: plain transformers, one forward pass per question, nothing of Augury's.

The probability of the answer's tokens times that of every token that begins with a line break, or
ends the text. One way of writing the answer: others add less than one per cent.
"""

from __future__ import annotations

from typing import Any


def rates(model: Any, tokenizer: Any, questions: list[tuple[str, str]]) -> list[float]:
    """Of each (prompt, answer), at temperature 1."""
    import torch

    ends = [t for t in range(len(tokenizer)) if tokenizer.decode([t]).startswith("\n")]
    ends.append(tokenizer.eos_token_id)
    found = []
    for prompt, answer in questions:
        asked = tokenizer(prompt)["input_ids"]
        said = tokenizer(answer, add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            logits = model(torch.tensor([asked + said])).logits[0].double()
        table = logits.log_softmax(-1)
        log = sum(float(table[len(asked) - 1 + k, t]) for k, t in enumerate(said))
        found.append(float(torch.exp(torch.tensor(log)) * table[-1, ends].exp().sum()))
    return found
