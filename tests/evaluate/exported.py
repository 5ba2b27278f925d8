"""Tiny transformers checkpoints, made here: an exported lab model, and one with merges and ends.

Also third-party servers, started on a free loopback port.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from augury.lab import ModelConfig, RunConfig, train
from augury.lab.export import export_checkpoint


class Later:
    """A package imported only when a test uses it: torch takes seconds in every process.

    If it is not installed, the requesting module is skipped.
    """

    def __init__(self, package: str) -> None:
        self._package = package
        if find_spec(package) is None:
            pytest.skip("needs the extra models", allow_module_level=True)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pytest looks for its marks on every object
            raise AttributeError(name)
        return getattr(import_module(self._package), name)


transformers: Any = Later("transformers")
tokenizers: Any = Later("tokenizers")
torch: Any = Later("torch")

TEXT = ["the cat sat on the mat", "the dog sat on the log", "a cat and a dog", "the end"]


def trained(folder: Path) -> Path:
    """A lab checkpoint that has learned to answer digits with digits."""
    run = RunConfig(ModelConfig(8), steps=100, shares={"sort-digits": 1.0})
    return train(run, folder)[-1]


def exported(folder: Path) -> tuple[Path, Path]:
    """A lab checkpoint, and its transformers export."""
    checkpoint = trained(folder / "run")
    return checkpoint, export_checkpoint(checkpoint, folder / "export")


_SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4}
_COMMON = {**_SHAPE, "intermediate_size": 32, "initializer_range": 0.6}
_GROUPED = {**_COMMON, "num_key_value_heads": 2}
# They differ in: rotary positions, a window of 4 tokens in some or all layers, positions
# counted from the mask, distances in place of positions, a recurrent state.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "gpt_neox": _COMMON,
    "mistral": {**_GROUPED, "sliding_window": 4},
    "gemma2": {**_GROUPED, "head_dim": 4, "sliding_window": 4},
    "opt": {**_SHAPE, "ffn_dim": 32, "word_embed_proj_dim": 16, "init_std": 0.6},
    "bloom": {"hidden_size": 16, "n_layer": 2, "n_head": 4, "initializer_range": 0.6},
    "mamba": {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4},
}


def of_architecture(name: str, folder: Path) -> Path:
    """A random model of a transformers architecture, with the tokenizer of `bpe_model`."""
    bpe_model(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    options = {"vocab_size": len(tokenizer), "bos_token_id": 0, "eos_token_id": 1}
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(name, **options, **ARCHITECTURES[name])
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def bpe_model(folder: Path, *, ends: bool = True) -> Path:
    """A Llama of 64 tokens: merges across words, rotary positions, grouped heads, an end token."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    letters = sorted({c for text in TEXT for c in text.replace(" ", "Ġ")})
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=64, special_tokens=["<s>", "</s>"], initial_alphabet=letters, show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>" if ends else None
    )
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(fast),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.6,  # wide, so that tokens differ in probability
        bos_token_id=0,
        eos_token_id=1 if ends else None,
        tie_word_embeddings=False,
    )
    model = transformers.LlamaForCausalLM(config)
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder
