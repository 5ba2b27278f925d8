"""What a model writes when it always takes the likeliest token."""

from __future__ import annotations

from collections.abc import Sequence

from augury.evaluate.backend import Backend


def greedy_texts(backend: Backend, prompts: Sequence[str], length: int) -> list[str]:
    """Continuations of `length` tokens by greedy decoding, for any checker.

    Where the accepted answers are known, `exact_scores` tells whether greedy decoding passes in
    the same single pass that scores them; this needs `length` passes.

    Args:
        backend: the model.
        prompts: what to continue.
        length: tokens to write.
    """
    texts = list(prompts)
    for _ in range(length):
        best = backend.next_token_logprobs(texts).argmax(1)
        texts = [text + backend.vocabulary[i] for text, i in zip(texts, best, strict=True)]
    return [text[len(prompt) :] for text, prompt in zip(texts, prompts, strict=True)]
