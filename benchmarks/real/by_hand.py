"""Pass rates by hand: plain transformers, without Augury.

Sums every way of writing the answer: its tokenisations, white space before it (at most one token
of its own), and white space after it up to a token with a line break or the end. Ways rarer than
`RARE` times the likeliest are left out.
"""

from __future__ import annotations

from functools import partial
from typing import Any

# Default truncations of llama.cpp's server, in this order.
TOP_K, TOP_P, MIN_P = 40, 0.95, 0.05
RARE = 1e-4


def rates(
    model: Any,
    tokenizer: Any,
    questions: list[tuple[str, str]],
    *,
    longest: int,
    cut: bool = False,
) -> list[float]:
    """Pass rate of each (prompt, answer), at temperature 1, in texts of at most `longest` tokens.

    With `cut`, for the distribution that llama.cpp's server leaves by default.
    """
    pieces = [tokenizer.decode([t]) for t in range(len(tokenizer))]
    pieces[tokenizer.eos_token_id] = "\n"
    found = []
    for prompt, answer in questions:
        ahead = partial(_next_token, model, tokenizer(prompt)["input_ids"], cut)
        found.append(_sum_of_ways(ahead, pieces, answer.strip(), longest))
    return found


def _sum_of_ways(ahead: Any, pieces: list[str], answer: str, longest: int) -> float:
    """The probability of all texts that are the answer, ignoring white space around it."""
    total, best = 0.0, 0.0
    open_ways: list[tuple[list[int], str, float]] = [([], "", 1.0)]
    while open_ways:
        open_ways.sort(key=lambda way: way[2])
        said, text, p = open_ways.pop()
        if len(said) >= longest:  # it ends here without a line break
            total += p if text.strip() == answer else 0.0
            continue
        if p <= RARE * best:
            continue
        table = ahead(said)
        for token, piece in enumerate(pieces):
            line, broken, _ = (text + piece).partition("\n")
            q = p * float(table[token])
            if broken and line.strip() == answer:
                total += q
                best = max(best, q)
            elif piece and _may_become(line, answer) and not broken and (line.strip() or not said):
                open_ways.append(([*said, token], line, q))
    return total


def _may_become(text: str, answer: str) -> bool:
    return answer.startswith(text.lstrip()) or text.strip() == answer


def _next_token(model: Any, asked: list[int], cut: bool, said: list[int]) -> Any:
    import torch

    with torch.inference_mode():
        logits = model(torch.tensor([asked + said])).logits[0, -1:].double()
    return (truncated(logits) if cut else logits).softmax(-1)[0].tolist()


def truncated(logits: Any) -> Any:
    """Logits with -inf where top-k, then top-p of the rest, then min-p excludes a token."""
    import torch

    best, order = logits.topk(TOP_K, -1)
    share = best.softmax(-1)
    before = share.cumsum(-1) - share
    out = (before >= TOP_P) | (share < MIN_P * share[:, :1])
    return torch.full_like(logits, -torch.inf).scatter(-1, order, best.masked_fill(out, -torch.inf))
