"""Checkpoints in common forms: GGUF files, adapters, other precisions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from augury.errors import DataError, UsageError
from augury.evaluate import NextRequest, SampleRequest
from augury.evaluate.hf import TransformersBackend
from augury.evaluate.models import Loading, open_model
from tests.evaluate.exported import bpe_model, torch, transformers

PROMPTS = ["the cat", "a dog and"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bpe_model(tmp_path_factory.mktemp("bpe") / "tiny-1k")


def tables(backend: Any) -> Any:
    return backend.next_token_logprobs([NextRequest(p) for p in PROMPTS])


def as_gguf(folder: Path, out: Path) -> Path:
    """The same Llama as stored by llama.cpp (in half precision: the weights are rounded)."""
    gguf = pytest.importorskip("gguf", reason="needs the extra gguf")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    config = model.config
    writer = gguf.GGUFWriter(str(out), "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    state = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    vocabulary = tokenizer.get_vocab()
    words = sorted(vocabulary, key=vocabulary.__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(words)
    writer.add_token_types([3 if w in ("<s>", "</s>") else 1 for w in words])
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in state["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        x = tensor.float().numpy()
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
        for part, n in heads.items():
            if part in name:  # llama.cpp stores the two halves of a rotary pair next to each other
                x = x.reshape(n, 2, x.shape[0] // n // 2, -1).swapaxes(1, 2).reshape(x.shape)
        new = names.get_name(name, try_suffixes=(".weight",))
        writer.add_tensor(new, x if x.ndim == 1 else x.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_gguf_file_is_the_same_model(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = as_gguf(folder, tmp_path / "tiny-1k.F16.gguf")
    capfd.readouterr()
    read = open_model(f"hf:{file}")
    assert capfd.readouterr().err == "", "no bars"
    whole = TransformersBackend(folder)
    assert np.exp(tables(read)) == pytest.approx(np.exp(tables(whole)), abs=5e-3)
    assert read.about["model"] == "tiny-1k.F16"
    assert read.about["params"] == whole.about["params"]
    assert read.ends == whole.ends
    assert read.decode([30, 31]) == whole.decode([30, 31])
    with pytest.raises(DataError, match=r"none.gguf: there is no such file"):
        open_model(f"hf:{tmp_path / 'none.gguf'}")


def test_both_counts_of_parameters(folder: Path) -> None:
    """Without embeddings, and with: the count that other tools report."""
    about = TransformersBackend(folder).about
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    assert about["params_total"] == model.num_parameters()
    assert about["params_total"] - about["params"] == 2 * model.config.vocab_size * 16


# peft 0.21 uses the old name of an attribute of transformers 5.23.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_an_adapter_is_the_model_that_was_trained(folder: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    torch.manual_seed(1)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tuned = peft.get_peft_model(
        model, peft.LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
    )
    tuned.save_pretrained(tmp_path / "adapter")
    read = open_model(f"hf:{tmp_path / 'adapter'}")
    ids = transformers.AutoTokenizer.from_pretrained(folder)(PROMPTS[0], return_tensors="pt")
    with torch.inference_mode():
        wanted = tuned.eval()(ids.input_ids).logits[0, -1].log_softmax(0).numpy()
    assert tables(read)[0] == pytest.approx(wanted, abs=1e-4)
    assert np.abs(tables(read) - tables(TransformersBackend(folder))).max() > 0.1
    assert (read.about["model"], read.about["adapter_of"]) == ("adapter", "tiny-1k")
    assert read.about["params_total"] == TransformersBackend(folder).about["params_total"]
    told = json.dumps({"base_model_name_or_path": "/no/model"})
    (tmp_path / "adapter" / "adapter_config.json").write_text(told)
    with pytest.raises(DataError, match="there is no folder /no/model"):
        open_model(f"hf:{tmp_path / 'adapter'}")
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    with pytest.raises(DataError, match="the model that the adapter belongs to"):
        open_model(f"hf:{tmp_path / 'adapter'}")


def test_precision_and_batches_are_as_asked_for(folder: Path) -> None:
    half = open_model(f"hf:{folder}", Loading(dtype="bfloat16", device="cpu", batch_tokens=40))
    assert half.about["dtype"] == "bfloat16"
    whole = open_model(f"hf:{folder}")
    assert "dtype" not in whole.about
    assert 1e-4 < np.abs(np.exp(tables(half)) - np.exp(tables(whole))).max() < 0.1
    assert len(half.sample([SampleRequest("the", 30, 4, seed=1)])[0]) == 30
    with pytest.raises(UsageError, match="--dtype: only models named hf: take this, not lab:"):
        open_model("lab:somewhere", Loading(dtype="bfloat16"))
