"""Draws from a mixture of a model and its proposals, and their weights.

Every draw is written by one component, chosen at random. A draw that passes has weight p / (e p +
(1 - e) q), from the log-probability of its tokens under all components (the balance heuristic;
defensive, since no weight exceeds 1/e: Owen & Zhou 2000). Failures need no weight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from augury.evaluate.backend import Backend, Floats
from augury.evaluate.proposals import Proposal
from augury.evaluate.stops import half_written
from augury.evaluate.streams import uniforms
from augury.evaluate.tasks import Instance, Task
from augury.evaluate.walk import Walkable, forced_logprobs, open_walk

# Maximum numbers in the next-token tables of one step: 128 MB.
TABLE = 2**24
# Rows at once if a model does not report what its memory allows.
ROWS = 1024


@dataclass(frozen=True)
class Draws:
    """Draws of one instance, in their order.

    Attributes:
        texts: (n,) cut at the first stop; None if the check could tell early that it fails.
        tokens: (n,) the drawn tokens, including an end token.
        own: (n,) whether the model itself wrote it.
    """

    texts: list[str | None]
    tokens: list[tuple[int, ...]]
    own: NDArray[np.bool_]


@dataclass(frozen=True)
class Mixture:
    """The model and its proposals.

    Attributes:
        backend: the model that is measured.
        proposals: at least one.
        share: of draws from the model itself; the rest is split equally among the proposals.
    """

    backend: Backend
    proposals: tuple[Proposal, ...]
    share: float

    @property
    def shares(self) -> Floats:
        """The shares of the components, the model first."""
        others = len(self.proposals)
        return np.array([self.share, *[(1 - self.share) / others] * others])

    @property
    def components(self) -> list[tuple[Backend, Callable[[Instance], str]]]:
        """The components' backends and what each reads; the model first."""
        return [
            (self.backend, lambda instance: instance.prompt),
            *((p.backend, p.prompt) for p in self.proposals),
        ]


# Whether a text of this instance with this beginning can pass.
Alive = Callable[[Instance, str], bool]


def draw_mixture(
    mixture: Mixture,
    task: Task,
    wanted: Sequence[tuple[Instance, int, int]],
    temperature: float,
    alive: Alive | None = None,
) -> list[Draws]:
    """Draw texts from a mixture.

    Args:
        mixture: to draw from.
        task: gives the length of texts, and their stops.
        wanted: instance, number of draws and seed; a draw depends only on its seed and number.
        temperature: of the model and of the proposals.
        alive: whether a text with this beginning can pass; others are abandoned.
    """
    drawn = [Draws([None] * n, [()] * n, np.zeros(n, dtype=bool)) for _, n, _ in wanted]
    below = np.cumsum(mixture.shares)
    for part in _batches(mixture, task, wanted):
        which = [(at, k) for at, first, last in part for k in range(first, last)]
        numbers = np.concatenate(
            [uniforms(wanted[at][2], a, b - a, task.tokens + 1) for at, a, b in part]
        )
        component = np.searchsorted(below, numbers[:, 0], side="right")
        component = np.minimum(component, len(below) - 1)
        for k, (backend, prompt) in enumerate(mixture.components):
            rows = np.flatnonzero(component == k)
            if not len(rows):
                continue
            instances = [wanted[which[row][0]][0] for row in rows]
            texts = _Texts(backend, mixture.backend, task, instances, alive)
            texts.write([prompt(i) for i in instances], numbers[rows, 1:], temperature)
            for row, text, tokens in zip(rows, texts.texts, texts.tokens, strict=True):
                at, own = which[row]
                drawn[at].texts[own], drawn[at].tokens[own] = text, tokens
                drawn[at].own[own] = k == 0
    return drawn


def log_weights(
    mixture: Mixture, asked: Sequence[tuple[Instance, tuple[int, ...]]], temperature: float
) -> list[float]:
    """Compute log p - log mixture of each (instance, drawn tokens), by teacher forcing."""
    distinct = {pair: n for n, pair in enumerate(dict.fromkeys((i.id, t) for i, t in asked))}
    first: dict[tuple[str, tuple[int, ...]], Instance] = {}
    for instance, tokens in asked:
        first.setdefault((instance.id, tokens), instance)
    logs = np.zeros((len(mixture.components), len(distinct)))
    for k, (backend, prompt) in enumerate(mixture.components):
        rows = [(prompt(first[pair]), pair[1]) for pair in distinct]
        logs[k] = forced_logprobs(backend, rows, temperature)
    shares = np.log(mixture.shares)[:, None]
    weights = logs[0] - np.logaddexp.reduce(shares + logs, 0) if len(distinct) else logs[0]
    return [float(weights[distinct[i.id, t]]) for i, t in asked]


class _Texts:
    """Texts that one component writes at once. Those with the same beginning are read once."""

    def __init__(
        self,
        writer: Backend,
        model: Backend,
        task: Task,
        instances: Sequence[Instance],
        alive: Alive | None,
    ) -> None:
        self._writer, self._model, self._task = writer, model, task
        self._instances, self._alive = instances, alive
        self.texts: list[str | None] = [None] * len(instances)
        self.tokens: list[tuple[int, ...]] = [()] * len(instances)

    def write(self, prompts: Sequence[str], numbers: Floats, temperature: float) -> None:
        """Write all of them to their ends."""
        places: dict[tuple[str, str], int] = {}
        node = np.array(
            [
                places.setdefault((prompt, instance.id), len(places))
                for prompt, instance in zip(prompts, self._instances, strict=True)
            ]
        )
        walk = open_walk(self._writer, [prompt for prompt, _ in places])
        rows = np.arange(len(prompts))
        for step in range(self._task.tokens):
            below = np.cumsum(np.exp(_tempered(walk.logprobs(), temperature)), 1)
            drawn = _invert(below, node, numbers[rows, step])
            for row, token in zip(rows.tolist(), drawn.tolist(), strict=True):
                self.tokens[row] += (token,)
            # A node of the next step: what was written so far for this prompt.
            width = below.shape[1]
            key, at = np.unique(node * width + drawn, return_inverse=True)
            heads = np.array([rows[np.argmax(at == n)] for n in range(len(key))])
            going = self._continuing(heads, at, rows, step + 1 == self._task.tokens)
            kept = np.flatnonzero(going)
            if not len(kept):
                return
            walk.advance(key[kept] // width, key[kept] % width)
            place = np.cumsum(going) - 1
            on = going[at]
            rows, node = rows[on], place[at[on]]

    def _continuing(
        self,
        heads: NDArray[np.int64],
        node: NDArray[np.int64],
        rows: NDArray[np.int64],
        last: bool,
    ) -> NDArray[np.bool_]:
        """Return which nodes continue; the texts of those that have ended are stored."""
        going = np.zeros(len(heads), dtype=bool)
        for n, head in enumerate(heads.tolist()):
            tokens = self.tokens[head]
            ended = tokens[-1] in self._model.ends
            text = self._model.decode(tokens[:-1] if ended else tokens)
            cut = self._task.cut(text)
            if ended or last or cut != text:
                for row in rows[node == n].tolist():
                    self.texts[row] = cut
            else:
                going[n] = (
                    self._alive is None
                    or half_written(text, self._task.stop)
                    or self._alive(self._instances[head], text)
                )
        return going


def _tempered(table: Floats, temperature: float) -> Floats:
    if temperature == 1:
        return table
    scaled = table / temperature
    return scaled - np.logaddexp.reduce(scaled, 1, keepdims=True)


def _invert(below: Floats, node: NDArray[np.int64], aim: Floats) -> NDArray[np.int64]:
    """Return a token for each row, by the cumulative distribution of its node."""
    wanted = aim * below[node, -1]
    found = [np.searchsorted(below[n], x, side="right") for n, x in zip(node, wanted, strict=True)]
    return np.minimum(np.array(found, dtype=np.int64), below.shape[1] - 1)


def _batches(
    mixture: Mixture, task: Task, wanted: Sequence[tuple[Instance, int, int]]
) -> Iterator[list[tuple[int, int, int]]]:
    """Yield (which, first, last draw) of those that are written at once."""
    most = max(TABLE // _vocabulary(mixture, task), 1)
    parts: list[tuple[int, int, int]] = []
    rows = 0
    room = most
    for at, (instance, n, _) in enumerate(wanted):
        fits = [
            b.walk_rows(prompt(instance), task.tokens) if isinstance(b, Walkable) else ROWS
            for b, prompt in mixture.components
        ]
        first = 0
        while first < n:
            room = min(room, *fits)
            if rows >= room:
                yield parts
                parts, rows, room = [], 0, most
                continue
            last = min(first + room - rows, n)
            parts.append((at, first, last))
            rows, first = rows + last - first, last
    if parts:
        yield parts


def _vocabulary(mixture: Mixture, task: Task) -> int:
    table = open_walk(mixture.backend, [task.instances[0].prompt]).logprobs()
    return table.shape[1]
