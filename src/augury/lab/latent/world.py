"""Worlds of latent attributes, as data: what the text shows, what is labelled, what is asked.

Words have hidden attributes with four values. Running text is a chain of words in which each
attribute has its own strength, so that pretraining has to learn attributes, strongest first, and
the loss measures how far it got. A task asks for one attribute of a word that was never labelled: a
model's answer can only come from running text, and finetuning can bring that out, but not teach it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from augury.errors import UsageError
from augury.lab.model import ModelConfig

VALUES = 4
LENGTH = 24
BATCH = 64


@dataclass(frozen=True)
class LatentWorld:
    """A world of latent attributes.

    Attributes:
        name: of the world, the family of its models.
        strengths: of the six attributes in running text, in log odds.
        tasks: attributes that are asked about, each with its own letters. Attribute 0 is labelled
            in common lists.
        lists: share of the documents that are lists of words and letters.
        rare: weight of each task's lists, against 1 of the common ones, for models of width 16.
        rare_power: that weight grows with (width / 16) to this power. Larger models reach a loss in
            fewer steps; with 1 they have seen about as many rare lists by then.
        shots: labelled words in a prompt, before the one that is asked about.
        opening: words of running text before a prompt; no document of the corpus has both.
        aliases: whether every word has a second name, taught in separate documents; prompts ask for
            the attribute of a name, which is labelled nowhere.
        taught: finetuning labels the very words that are asked about.
        muted: width -> share of the running text in which the tasks' attributes have no strength.
        widths, steps, checkpoints: of the ladder that forecasts may use.
        later: width -> steps of the models that are trained after the forecast; they are measured
            every `every` steps, from `since` on.
        amounts, subsets: finetuning examples, and random subsets of each.
        finetune_steps: of every finetuning, a multiple of 12.

    Raises:
        UsageError: a number is out of range.
    """

    name: str
    strengths: tuple[float, ...] = (1.6, 1.4, 1.2, 1.1, 1.0, 0.9)
    tasks: tuple[int, ...] = (1, 2, 3, 4, 5)
    lists: float = 0.1
    rare: float = 0.001
    rare_power: float = 1.0
    shots: int = 6
    opening: int = 0
    aliases: bool = False
    taught: bool = False
    muted: Mapping[int, float] = field(default_factory=dict)
    widths: tuple[int, ...] = (12, 16, 24)
    steps: int = 1000
    checkpoints: tuple[int, ...] = (150, 200, 250, 300, 400, 500, 600, 800)
    later: Mapping[int, int] = field(default_factory=lambda: {32: 1400})
    since: int = 300
    every: int = 100
    amounts: tuple[int, ...] = (8, 16, 32, 64, 128, 512)
    subsets: int = 2
    finetune_steps: int = 96

    def __post_init__(self) -> None:
        if len(self.strengths) != 6:
            raise UsageError(f"a world has six attributes, not {len(self.strengths)}")
        if not self.tasks or not set(self.tasks) <= set(range(1, 6)):
            raise UsageError(f"tasks ask for attributes 1 to 5, not {list(self.tasks)}")
        if not 0 < self.lists < 1 or self.rare < 0:
            raise UsageError(f"lists must be a share, rare positive: {self.lists}, {self.rare}")
        if self.opening + 2 * self.shots + 1 > LENGTH or self.shots < 0:
            raise UsageError(f"a prompt has at most {LENGTH} tokens")

    @property
    def words(self) -> int:
        return 384

    @property
    def names(self) -> int:
        """Number of second names of words."""
        return self.words if self.aliases else 0

    @property
    def vocabulary(self) -> int:
        """A begin token, words, their second names, and four letters per list."""
        return 1 + self.words + self.names + VALUES * (1 + len(self.tasks))

    def letters(self, task: int) -> int:
        """Return the first of the four letters of a list: attribute 0, or a task."""
        place = 0 if task == 0 else 1 + self.tasks.index(task)
        return 1 + self.words + self.names + VALUES * place

    def model(self, width: int) -> ModelConfig:
        """Two layers, one attention head per eight dimensions, at most four."""
        return ModelConfig(width, heads=max(1, min(4, width // 8)))

    def params(self, width: int) -> int:
        """Return all parameters: embeddings, positions, two layers, and a separate head."""
        layers = 2 * (12 * width * width + 9 * width) + 2 * width
        return (2 * self.vocabulary + LENGTH) * width + layers

    def rate_of_rare(self, width: int) -> float:
        """Return the weight of each task's lists for models of a width."""
        return self.rare * (width / 16.0) ** self.rare_power

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON."""
        return asdict(self)


H2 = LatentWorld("h2")
# Two worlds in which the ability is latent in different ways.
_OPENED = replace(H2, name="opened", opening=8, tasks=(1, 3))
_NAMES = replace(H2, name="names", aliases=True, tasks=(1, 3), later={32: 1400, 48: 1400})
# Three that break one premise each: finetuning teaches; scores depend on the size at equal loss;
# few-shot is not the limit of little finetuning, since its format never appears.
_ONE = replace(H2, tasks=(3,), later={32: 1000})
_TAUGHT = replace(
    _ONE,
    name="taught",
    strengths=(1.6, 1.4, 1.2, 0.0, 1.0, 0.9),
    rare=0.0,
    taught=True,
    finetune_steps=1200,
)
_BY_SIZE = replace(_ONE, name="by-size", muted={16: 0.4, 24: 0.8, 32: 0.9})
_UNPROMPTED = replace(_ONE, name="unprompted", rare=0.0)
# A small version of h2: two sizes at chance, one size that gets there.
_DEMO = replace(H2, name="demo", tasks=(3,), widths=(12, 16), steps=600, later={24: 1000})
WORLDS = {w.name: w for w in (H2, _OPENED, _NAMES, _TAUGHT, _BY_SIZE, _UNPROMPTED, _DEMO)}


def latent_world(name: str) -> LatentWorld:
    """Return the world called `name`.

    Raises:
        UsageError: it does not exist.
    """
    if name not in WORLDS:
        raise UsageError(f"no latent world is called '{name}'; there are: {', '.join(WORLDS)}")
    return WORLDS[name]
