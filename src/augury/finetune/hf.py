"""Finetune a checkpoint of transformers, fully or by LoRA, like the lab's models.

The recipe is the same: only the answer counts in the loss, and held-out examples decide when to
stop and which weights to keep. If the tokenizer has an end token, the model learns to write it
after the answer. Several processes may share the work (`processes.py`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from augury.errors import DataError
from augury.evaluate.hf import SMALL
from augury.evaluate.hf_load import load, needs_models, without_bars
from augury.evaluate.hf_text import TokenText
from augury.finetune.training_group import TrainingGroup
from augury.lab import LossCurve, Pair, Recipe, Stopping

# Snell et al. 2024 (arXiv 2411.16035): rank 1 to 64 moves the elbow about as far as full
# finetuning does.
RANK = 8
# Tokens read at once: a batch of longer texts is read in parts whose gradients are summed.
AT_ONCE = 16_384
# Maximum numbers in a table of logits: 256 MB in single precision, and as much for its gradient.
LOGITS = 2**26
# Evaluations of the held-out loss before the first regular one: small amounts are learned in a few
# steps.
EARLY = (2, 4, 8, 16, 32)
# Above this many parameters, activations are recomputed in the backward pass instead of kept: a
# third more time, a fraction of the memory.
CHECKPOINTED = 5e8
# Called with the step, the number of steps, and the held-out loss.
Look = Callable[[int, int, float], None]
# Marks a position that does not count in the loss (as in transformers).
IGNORED = -100


def finetune_transformers(
    path: str | Path,
    revision: str | None,
    pairs: Sequence[Pair],
    held_out: Sequence[Pair],
    recipe: Recipe,
    rng: np.random.Generator,
    *,
    method: str,
    out: Path,
    look: Look | None = None,
    group: TrainingGroup | None = None,
) -> LossCurve:
    """Finetune a checkpoint and write the result, with LoRA merged, as another checkpoint.

    Args:
        path, revision: the checkpoint.
        pairs: examples to learn.
        held_out: examples that decide when to stop.
        recipe: hyperparameters.
        rng: draws the order of examples, dropout, and where LoRA starts.
        method: "full", all weights; "lora", rank 8, alpha 16, on every linear map but the head;
            "head", only the output embedding, separated from the input's if the two are tied.
        out: folder to write.
        look: called at every evaluation of the held-out loss.
        group: the processes that do the same and share the work; by default this one is alone.

    Returns:
        The held-out loss during finetuning.

    Raises:
        UsageError: the extra `models` is missing, or the tokenizer cannot write an example.
        DataError: the checkpoint cannot be read, or an example does not fit it.
    """
    torch, transformers = needs_models("torch"), needs_models("transformers")
    lora = method == "lora"
    group = group or TrainingGroup()
    device = group.device or ("cuda" if torch.cuda.is_available() else "cpu")
    kind = torch.device(device).type
    with torch.random.fork_rng(devices=[]), _threads(torch) as alone:
        seed = int(rng.integers(2**62))
        torch.manual_seed(seed)
        half = _bfloat16(torch, kind)
        # Trained weights stay in single precision; those that LoRA leaves alone need not.
        tokenizer, model = load(path, revision, "bfloat16" if half and lora else "float32", False)
        size = sum(p.numel() for p in model.parameters())
        alone(size < SMALL)
        if size > CHECKPOINTED:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        if lora:
            peft = needs_models("peft")
            config = peft.LoraConfig(
                r=RANK,
                lora_alpha=2 * RANK,
                target_modules="all-linear",
                fan_in_fan_out=_transposed(model),
                task_type="CAUSAL_LM",
            )
            with warnings.catch_warnings():
                # peft 0.21 asks transformers 5.23 for an attribute by its old name.
                warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
                model = peft.get_peft_model(model, config)
        elif method == "head":
            _train_head_alone(torch, model)
        model.to(device)
        known = _Batches(tokenizer, str(path), getattr(model.config, "max_position_embeddings", 0))
        rows = known.rows(pairs), known.rows(held_out)
        if group.rank:
            torch.manual_seed(seed + group.rank)  # dropout is not the same in every process
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=half):
            curve = _train(model, *rows, recipe, rng, look, group)
        if group.rank:
            return curve
        if half and lora:
            model = model.float()  # merging rounds twice in half precision
    with without_bars(transformers):
        whole = model.merge_and_unload() if lora else model
        whole.save_pretrained(out)
        tokenizer.save_pretrained(out)
    return curve


def _train_head_alone(torch: Any, model: Any) -> None:
    """Freeze all but the output embedding, which becomes a separate matrix."""
    model.requires_grad_(False)
    head = model.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.detach().clone())
    model.config.tie_word_embeddings = False


def _train(
    model: Any,
    learnt: list[Any],
    held_out: list[Any],
    recipe: Recipe,
    rng: np.random.Generator,
    say: Look | None,
    group: TrainingGroup,
) -> LossCurve:
    """Train in place; the weights of the best evaluation are left in the model."""
    torch = needs_models("torch")
    tuned = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimiser = torch.optim.AdamW(
        tuned.values(), lr=recipe.rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    steps = max(recipe.steps, -(-recipe.passes * len(learnt) // recipe.batch))
    rates, order = recipe.rates(steps), recipe.batches(len(learnt), steps, rng)
    watch, vocabulary = Stopping(recipe.patience), _vocabulary(model)
    first = _held_out(model, held_out, group)
    watch.look(0, first)
    if say is not None:
        say(0, steps, first)
    best = {name: p.detach().clone() for name, p in tuned.items()}
    for step in range(steps):
        for settings in optimiser.param_groups:
            settings["lr"] = float(rates[step])
        model.train()
        rows = [learnt[i] for i in order[step]]
        count = sum(len(text) - asked for text, asked in rows)
        for part in _parts(group.share(rows), vocabulary):
            (_loss(model, part) / count).backward()
        group.add_gradients(tuned.values())
        torch.nn.utils.clip_grad_norm_(tuned.values(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        done = step + 1
        if done % recipe.every and done not in EARLY and done < steps:
            continue
        loss = _held_out(model, held_out, group)
        if say is not None:
            say(done, steps, loss)
        if watch.look(done, loss):
            best = {name: p.detach().clone() for name, p in tuned.items()}
        # Early evaluations choose the best weights; they do not end a run that has hardly begun.
        if watch.ended and (done >= recipe.every or not np.isfinite(loss)):
            break
    with torch.no_grad():
        for name, p in tuned.items():
            p.copy_(best[name])
    model.eval()
    return watch.curve


def _held_out(model: Any, rows: list[Any], group: TrainingGroup) -> float:
    """Return nats per answer token, the same number in every process."""
    torch = needs_models("torch")
    model.eval()
    with torch.inference_mode():
        parts = _parts(group.share(rows), _vocabulary(model))
        total = group.total(sum(float(_loss(model, part)) for part in parts))
    return total / sum(len(text) - asked for text, asked in rows)


def _loss(model: Any, rows: list[Any]) -> Any:
    """Sum the cross-entropy of the answers' tokens, nats; texts are padded on the right."""
    torch = needs_models("torch")
    widest = max(len(text) for text, _ in rows)
    tokens = torch.zeros((len(rows), widest), dtype=torch.long)
    there = torch.zeros_like(tokens)
    wanted = torch.full_like(tokens, IGNORED)
    for row, (text, asked) in enumerate(rows):
        tokens[row, : len(text)] = torch.tensor(text)
        there[row, : len(text)] = 1
        wanted[row, asked : len(text)] = torch.tensor(text[asked:])
    place = next(model.parameters()).device
    logits = model(input_ids=tokens.to(place), attention_mask=there.to(place), use_cache=False)
    behind = logits.logits[:, :-1].float().flatten(0, 1)
    return torch.nn.functional.cross_entropy(
        behind, wanted[:, 1:].flatten().to(place), ignore_index=IGNORED, reduction="sum"
    )


def _vocabulary(model: Any) -> int:
    return int(model.get_output_embeddings().weight.shape[0])


def _bfloat16(torch: Any, kind: str) -> bool:
    """Return whether training in half precision is worth it: a GPU with bfloat16."""
    return kind == "cuda" and bool(torch.cuda.is_bf16_supported())


def _parts(rows: list[Any], vocabulary: int) -> list[list[Any]]:
    """Return rows that are read at once, the longest together, for little padding."""
    if not rows:  # there may be fewer held-out examples than processes
        return []
    rows = sorted(rows, key=lambda row: len(row[0]))
    size = max(min(AT_ONCE, LOGITS // vocabulary) // len(rows[-1][0]), 1)
    return [rows[first : first + size] for first in range(0, len(rows), size)]


class _Batches:
    """Pairs as tokens, with the position where the answer begins."""

    def __init__(self, tokenizer: Any, name: str, context: int) -> None:
        self._text = TokenText(tokenizer, name)
        self._end = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
        self._name, self._context = name, context

    def rows(self, pairs: Sequence[Pair]) -> list[tuple[list[int], int]]:
        """Return (tokens, first token of the answer) of each pair."""
        found = []
        for prompt, answer in pairs:
            before, behind = self._text.seam(prompt, answer)
            tokens = [*before, *behind, *self._end]
            if self._context and len(tokens) - 1 > self._context:
                raise DataError(
                    f"the example {prompt[:40]!r} has {len(tokens)} tokens",
                    source=self._name,
                    expected=f"at most {self._context}",
                )
            found.append((tokens, len(before)))
        return found


@contextmanager
def _threads(torch: Any) -> Iterator[Callable[[bool], None]]:
    """Yield a function that sets whether one thread is enough; restored at the end."""
    before = torch.get_num_threads()
    try:
        yield lambda alone: torch.set_num_threads(1) if alone and before > 1 else None
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


def _transposed(model: Any) -> bool:
    """Return whether the linear maps are GPT-2's, which store their matrices transposed."""
    return any(type(module).__name__ == "Conv1D" for module in model.modules())
