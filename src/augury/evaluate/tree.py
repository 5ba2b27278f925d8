"""Sample counts drawn down the tree of distinct prefixes.

Samples of one prompt share prefixes. If a model shows the probabilities of the next token, n
independent samples have the same distribution as n split at the first token by a multinomial draw,
each part split again at the second, and so on: one forward pass per distinct prefix instead of one
per token of each sample, and one check per distinct text.

If the check can tell that no text with this beginning will pass, the branch ends there: its samples
have failed, whatever they would have become.

The order in which a draw's nodes are visited depends only on the draw itself, so a run that was
stopped gives the same draws as one that was not. Pending nodes are kept as blocks on a stack,
deepest first: never more nodes than samples, whatever the width of the tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from augury.evaluate.backend import Backend, Floats, NextRequest
from augury.evaluate.stops import half_written
from augury.evaluate.tasks import Task

Ints = NDArray[np.int64]

# Nodes processed at once. 1,024 keep the lab's models and a small transformer busy.
ROWS = 1024
# Below this many samples at a node, inverting the distribution is faster than a binomial draw per
# token.
FEW = 64


@dataclass
class Draw:
    """n samples of one instance, and their random stream."""

    prompt: str
    samples: int
    rng: np.random.Generator
    blocks: list[tuple[NDArray[np.int32], Ints]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.blocks = [(np.zeros((1, 0), np.int32), np.array([self.samples]))]


# The draw's index, and its distinct texts with the number of samples of each.
Leaves = Callable[[int, list[str], Ints], None]
# The draw's index and the beginning of a text: can it still pass?
Alive = Callable[[int, str], bool]


def draw_counts(
    backend: Backend,
    task: Task,
    draws: Sequence[Draw],
    temperature: float,
    leaves: Leaves,
    alive: Alive | None = None,
) -> int:
    """Draw all samples of all draws.

    Args:
        backend: a model that shows next-token probabilities.
        task: gives the length of texts, and their stops.
        draws: consumed.
        temperature: logits are divided by it.
        leaves: called for distinct texts when they are finished, uncut; not for those that `alive`
            has abandoned.
        alive: whether a text with this beginning can pass.

    Returns:
        Number of forward passes, one per distinct prefix.
    """
    asked = 0
    while True:
        chosen: list[tuple[int, NDArray[np.int32], Ints]] = []
        rows = 0
        for i, draw in enumerate(draws):
            if draw.blocks and rows < ROWS:
                written, counts = draw.blocks.pop()
                chosen.append((i, written, counts))
                rows += len(counts)
        if not chosen:
            return asked
        requests = [
            NextRequest(draws[i].prompt, tuple(row))
            for i, written, _ in chosen
            for row in written.tolist()
        ]
        table = backend.next_token_logprobs(requests) / temperature
        asked += rows
        table = np.exp(table - table.max(1, keepdims=True))
        start = 0
        for i, written, counts in chosen:
            stop = start + len(counts)
            parents, tokens, split = _split(draws[i].rng, table[start:stop], counts)
            start = stop
            _place(backend, task, draws[i], (written, parents, tokens, split), i, leaves, alive)


def _split(rng: np.random.Generator, weights: Floats, counts: Ints) -> tuple[Ints, Ints, Ints]:
    """Split each node's samples among the tokens: parent, token and count, those above 0."""
    found: list[tuple[Ints, Ints, Ints]] = []
    few = np.flatnonzero(counts < FEW)
    if len(few):
        below = np.cumsum(weights[few], 1)
        owner = np.repeat(np.arange(len(few)), counts[few])
        aim = rng.random(len(owner)) * below[owner, -1]
        token = _invert(below, owner, aim)
        width = weights.shape[1]
        key, number = np.unique(owner * width + token, return_counts=True)
        found.append((few[key // width], key % width, number))
    for node in np.flatnonzero(counts >= FEW):
        order = np.argsort(-weights[node], kind="stable")  # NumPy stops when none is left
        share = weights[node][order] / weights[node].sum()
        drawn = rng.multinomial(counts[node], share)
        some = np.flatnonzero(drawn)
        found.append((np.full(len(some), node), order[some], drawn[some]))
    parents, tokens, split = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return parents, tokens, split


def _invert(below: Floats, owner: Ints, aim: Floats) -> Ints:
    """Return the first column of each owner's row that is above the aim."""
    ends = below[:, -1:]
    # Row i lies between i and i + 1, so that one search serves all rows.
    flat = (below / ends * (1 - 1e-12) + np.arange(len(below))[:, None]).ravel()
    found = np.searchsorted(flat, aim / ends[owner, 0] * (1 - 1e-12) + owner, side="right")
    return np.minimum(found - owner * below.shape[1], below.shape[1] - 1)


def _place(
    backend: Backend,
    task: Task,
    draw: Draw,
    children: tuple[NDArray[np.int32], Ints, Ints, Ints],
    index: int,
    leaves: Leaves,
    alive: Alive | None,
) -> None:
    """Pass finished texts to `leaves`, and put the rest back on the stack."""
    written, parents, tokens, split = children
    ended = np.isin(tokens, list(backend.ends))
    longer = np.concatenate([written[parents], tokens[:, None].astype(np.int32)], 1)
    last = longer.shape[1] >= task.tokens
    done = ended | last
    texts: dict[int, str] = {}
    if task.stop:
        for node in np.flatnonzero(~done):
            texts[int(node)] = backend.decode(longer[node].tolist())
            done[node] = task.cut(texts[int(node)]) != texts[int(node)]
    finished = np.flatnonzero(done)
    if len(finished):
        # An ending token is not part of the text.
        leaves(
            index,
            [
                texts[n]
                if n in texts
                else backend.decode(longer[n, : -1 if ended[n] else None].tolist())
                for n in finished.tolist()
            ],
            split[finished],
        )
    going = np.flatnonzero(~done)
    if alive is not None:
        kept = []
        for which in going.tolist():
            text = texts[which] if which in texts else backend.decode(longer[which].tolist())
            if half_written(text, task.stop) or alive(index, text):
                kept.append(which)
        going = np.array(kept, dtype=np.int64)
    for part in _blocks(going):
        draw.blocks.append((longer[part], split[part]))


def _blocks(nodes: Ints) -> Iterator[Ints]:
    for first in range(0, len(nodes), ROWS):
        yield nodes[first : first + ROWS]
