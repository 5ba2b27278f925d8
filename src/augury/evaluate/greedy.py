"""What a model writes if it always takes the likeliest token."""

from __future__ import annotations

from collections.abc import Sequence

from augury.evaluate.backend import Backend, NextRequest


def greedy_texts(backend: Backend, prompts: Sequence[str], length: int) -> list[str]:
    """Return continuations of `length` tokens by greedy decoding, for any checker.

    If the accepted answers are known, `exact_scores` tells whether greedy decoding passes in the
    same single pass that scores them; this needs `length` passes.

    Args:
        backend: the model.
        prompts: what to continue.
        length: number of tokens to write.
    """
    written: list[tuple[int, ...]] = [()] * len(prompts)
    going = set(range(len(prompts)))
    for _ in range(length):
        order = sorted(going)
        if not order:
            break
        asked = [NextRequest(prompts[i], written[i]) for i in order]
        for i, token in zip(order, backend.next_token_logprobs(asked).argmax(1), strict=True):
            if int(token) in backend.ends:
                going.discard(i)
            else:
                written[i] = (*written[i], int(token))
    return [backend.decode(tokens) for tokens in written]
