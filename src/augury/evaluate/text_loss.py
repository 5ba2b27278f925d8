"""The validation loss of a checkpoint on texts: nats per token, and bits per byte.

A text longer than the model's context is read in overlapping windows: every token is scored once,
with as much context as the overlap holds; the first window's from its beginning. Bits per byte
compares models whose tokens differ; nats per token does not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from augury.errors import DataError, UsageError
from augury.runtime.steps import count_steps

# Window size in tokens if neither the user nor the model's configuration gives it.
WINDOW = 1024
Pair = tuple[list[int], list[int]]


class DocumentReader(Protocol):
    """A backend that can score the tokens of a document."""

    @property
    def context(self) -> int | None:
        """Number of tokens that the model can read at once, if known."""

    def document_tokens(self, text: str) -> list[int]:
        """Return the tokens of a document, with what the tokenizer puts before a text."""

    def pair_logprobs(self, pairs: Sequence[Pair]) -> list[NDArray[np.float64]]:
        """Return log-probabilities of the second tokens of each pair after the first ones."""


@dataclass(frozen=True)
class TextLoss:
    """A loss on texts.

    Attributes:
        loss: nats per token, over all tokens of all documents.
        stderr: its standard error over documents; None for a single one.
        tokens: number scored; the first of a document is not, unless something precedes it.
        bytes: of the texts, in UTF-8.
        documents: number of documents.
        window: tokens per window.
        stride: tokens between window starts.
    """

    loss: float
    stderr: float | None
    tokens: int
    bytes: int
    documents: int
    window: int
    stride: int

    @property
    def bpb(self) -> float:
        """Bits per byte."""
        return self.loss * self.tokens / self.bytes / math.log(2)

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return {**vars(self), "bpb": self.bpb}

    def __str__(self) -> str:
        more = "" if self.stderr is None else f" +- {self.stderr:.2g}"
        return (
            f"{self.loss:.4f}{more} nats per token, {self.bpb:.4f} bits per byte "
            f"({self.tokens:,} tokens of {self.documents:,} documents; windows of {self.window}, "
            f"every {self.stride})"
        )


def windows(count: int, window: int, stride: int) -> Iterator[tuple[int, int, int]]:
    """Yield windows over `count` tokens: start, start of its own part, end.

    Every token but the first is in exactly one window's own part, with at least `window - stride`
    tokens before it, or all there are.
    """
    done = 1
    while done < count:
        end = min(window if done == 1 else done + stride, count)
        yield max(0, end - window), done, end
        done = end


def read_documents(path: Path) -> list[str]:
    """Read the documents of a file: JSON lines with `text` in each, or one text.

    Raises:
        DataError: it cannot be read, or holds no text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read: {error}", source=str(path), expected="UTF-8") from error
    found = [text]
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        found = []
        for row, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    found.append(json.loads(line)["text"])
                except (ValueError, KeyError, TypeError) as error:
                    raise DataError(
                        "is not a document", source=str(path), row=row, value=line[:40],
                        expected='JSON with a key "text"',
                    ) from error  # fmt: skip
                if not isinstance(found[-1], str):
                    raise DataError("is not a text", source=str(path), row=row, column="text",
                                    value=found[-1], expected="a string")  # fmt: skip
    found = [document for document in found if document]
    if not found:
        raise DataError("no text", source=str(path), expected="documents")
    return found


def text_loss(
    reader: DocumentReader,
    documents: Sequence[str],
    *,
    window: int | None = None,
    stride: int | None = None,
) -> TextLoss:
    """Compute the loss of a model on documents.

    Args:
        reader: a backend of transformers.
        documents: texts.
        window: tokens per window; by default the model's context.
        stride: tokens between window starts; by default half a window.

    Raises:
        UsageError: window or stride is invalid, or no document has a token to score.
    """
    most = reader.context
    window = window or most or WINDOW
    stride = stride or max(window // 2, 1)
    if window < 2 or (most is not None and window > most):
        limit = "2 or more" if most is None else f"between 2 and {most}, the model's context"
        raise UsageError(f"window must be {limit}, not {window}")
    if not 1 <= stride < window:
        raise UsageError(f"stride must lie between 1 and {window - 1}, below the window: {stride}")
    sums, counts = np.zeros(len(documents)), np.zeros(len(documents), int)
    for i in count_steps(range(len(documents)), "documents"):
        tokens = reader.document_tokens(documents[i])
        pairs = [
            (tokens[first:own], tokens[own:end])
            for first, own, end in windows(len(tokens), window, stride)
        ]
        for scored in reader.pair_logprobs(pairs):
            sums[i] -= scored.sum()
            counts[i] += len(scored)
    total = int(counts.sum())
    if total == 0:
        raise UsageError("no document has a token with another before it")
    loss = float(sums.sum() / total)
    size = sum(len(text.encode()) for text in documents)
    return TextLoss(loss, _stderr(sums, counts, loss), total, size, len(documents), window, stride)


def _stderr(sums: NDArray[np.float64], counts: NDArray[np.int64], loss: float) -> float | None:
    """Return the standard error of a ratio of sums over randomly drawn documents."""
    n = len(sums)
    if n < 2:
        return None
    off = sums - loss * counts
    return float(np.sqrt(n / (n - 1) * np.sum(off**2)) / counts.sum())
