"""A model of the lab as a transformers checkpoint: the same function, in files others can serve.

The lab's architecture is GPT-2's without biases in the attention; GPT-2 with zero biases computes
the same. A character is a token, and the tokenizer puts the begin token before a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from augury.evaluate.hf_load import needs_models, without_bars
from augury.lab.backend import LabBackend
from augury.lab.checkpoint import Checkpoint
from augury.lab.corpus import LENGTH
from augury.lab.tasks import ALPHABET, BEGIN
from augury.runtime.atomic import atomic_folder

# A chat is the text of its messages, so that chat-only servers can serve the model too.
CHAT = BEGIN + "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def export_checkpoint(checkpoint: str | Path | Checkpoint, out: str | Path) -> Path:
    """Write a lab checkpoint as a GPT-2 of transformers: safetensors, configuration, tokenizer.

    `TransformersBackend(out)` and `LabBackend(checkpoint)` agree on log-probabilities to 1e-4, and
    describe the model identically: the configuration carries it under "augury".

    Args:
        checkpoint: its folder, or a checkpoint in memory.
        out: folder to write, completely or not at all; an existing one is replaced.

    Returns:
        The folder.

    Raises:
        DataError: there is no checkpoint, or it is damaged.
        UsageError: the extra `models` is missing.
    """
    lab = LabBackend(checkpoint)
    transformers = needs_models("transformers")
    torch = needs_models("torch")
    shape = lab.checkpoint.config.model
    config = transformers.GPT2Config(
        vocab_size=len(ALPHABET),
        n_positions=LENGTH,
        n_embd=shape.width,
        n_layer=shape.layers,
        n_head=shape.heads,
        n_inner=4 * shape.width,
        activation_function="gelu_new",  # the tanh form, as jax.nn.gelu
        layer_norm_epsilon=1e-5,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=None,
        eos_token_id=None,
        tie_word_embeddings=True,
        augury=dict(lab.about),
    )
    model = transformers.GPT2LMHeadModel(config)
    weights = {n: torch.from_numpy(x) for n, x in gpt2_weights(lab.checkpoint.weights).items()}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:  # tied to the embedding
        raise RuntimeError(f"GPT-2 has other weights: missing {missing}, unexpected {unexpected}")
    # By default, servers and `generate` decode greedily or truncate.
    model.generation_config = transformers.GenerationConfig(
        do_sample=True, temperature=1.0, top_k=0, top_p=1.0
    )
    out = Path(out)
    with atomic_folder(out) as fresh, without_bars(transformers):
        model.save_pretrained(fresh)
        lab_tokenizer().save_pretrained(fresh)
    return out


def gpt2_weights(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Return the lab's weights under GPT-2's names, float32, with the biases that the lab omits."""
    named = {
        "transformer.wte.weight": weights["embedding"],
        "transformer.wpe.weight": weights["position"],
        "transformer.ln_f.weight": weights["norm.scale"],
        "transformer.ln_f.bias": weights["norm.shift"],
    }
    layers = sum(name.endswith(".query_key_value") for name in weights)
    for i in range(layers):
        here = f"transformer.h.{i}"
        for ours, theirs in (("attention_norm", "ln_1"), ("mlp_norm", "ln_2")):
            named[f"{here}.{theirs}.weight"] = weights[f"{i}.{ours}.scale"]
            named[f"{here}.{theirs}.bias"] = weights[f"{i}.{ours}.shift"]
        for ours, theirs in (("query_key_value", "attn.c_attn"), ("out", "attn.c_proj")):
            matrix = weights[f"{i}.{ours}"]  # (inputs, outputs), as in GPT-2
            named[f"{here}.{theirs}.weight"] = matrix
            named[f"{here}.{theirs}.bias"] = np.zeros(matrix.shape[1])
        for ours, theirs in (("up", "mlp.c_fc"), ("down", "mlp.c_proj")):
            named[f"{here}.{theirs}.weight"] = weights[f"{i}.{ours}"]
            named[f"{here}.{theirs}.bias"] = weights[f"{i}.{ours}_shift"]
    return {name: np.array(x, dtype=np.float32) for name, x in named.items()}


def lab_tokenizer() -> Any:
    """Build a tokenizer with one token per character and a begin token; others are an error."""
    transformers = needs_models("transformers")
    tokenizers = needs_models("tokenizers")
    vocabulary = {character: i for i, character in enumerate(ALPHABET)}
    # A vocabulary without an unknown token: a text that it cannot write is refused, not altered.
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<none>"))  # noqa: S106
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Split(
        tokenizers.Regex(r"[\s\S]"), behavior="isolated"
    )
    tokenizer.decoder = tokenizers.decoders.Fuse()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, vocabulary[BEGIN])]
    )
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=LENGTH, clean_up_tokenization_spaces=False
    )
    fast.chat_template = CHAT
    return fast
