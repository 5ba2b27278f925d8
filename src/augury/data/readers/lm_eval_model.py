"""What a file of lm-evaluation-harness tells about its model and how it was evaluated.

`model_args` is text ("pretrained=a,revision=b") or an object. Every argument that can change an
answer is kept: adapters, quantisation, chat template and system prompt have columns of their own;
all others go together into `variant`.
"""

from __future__ import annotations

import json
from typing import Any

from augury.data.readers.files import first_text
from augury.data.readers.part import ModelInfo

NAMES = ("pretrained", "path", "model", "model_name", "engine")
ADAPTERS = ("peft", "delta", "lora", "lora_local_path", "adapter")
QUANTIZED = {"load_in_4bit": "4bit", "load_in_8bit": "8bit", "autogptq": "gptq",
             "gptqmodel": "gptq", "quantization": None}  # fmt: skip
# How a model is loaded and run, not what it answers.
NEUTRAL = {
    *NAMES, *ADAPTERS, *QUANTIZED, "revision", "tokenizer", "device", "device_map",
    "device_map_option", "parallelize", "batch_size", "max_batch_size", "trust_remote_code",
    "use_fast", "use_fast_tokenizer", "low_cpu_mem_usage", "cache_dir", "offload_folder",
    "max_memory_per_gpu", "max_cpu_memory", "tensor_parallel_size", "data_parallel_size",
    "pipeline_parallel_size", "gpu_memory_utilization", "swap_space", "num_concurrent",
    "max_retries", "base_url", "timeout", "tokenizer_backend", "verify_certificate", "api_key",
    "token", "use_auth_token", "use_accelerate", "accelerate", "enforce_eager", "max_num_seqs",
    "tokenized_requests",
}  # fmt: skip


def model_info(config: dict[str, Any], whole: dict[str, Any]) -> ModelInfo:
    """Return what the file tells about its model.

    Args:
        config: its key `config`.
        whole: keys of the file itself.
    """
    args = config.get("model_args")
    if isinstance(args, str):
        pairs = (pair.partition("=") for pair in args.split(","))
        args = {key.strip(): value.strip() for key, _, value in pairs if key.strip()}
    args = {k: v for k, v in args.items() if not _is_off(v)} if isinstance(args, dict) else {}
    count = config.get("model_num_parameters")
    counted = isinstance(count, int) and not isinstance(count, bool) and 0 < count < 2**63
    adapter = first_text(args, *ADAPTERS)
    model = first_text(args, *NAMES)
    # Newer versions name the file's model by its adapter.
    named = first_text(whole, "model_name")
    if adapter is not None and named is not None and named != model:
        adapter = named
    return ModelInfo(
        model=model or named,
        revision=first_text(args, "revision") or first_text(config, "model_revision"),
        params=float(count) if counted and isinstance(count, int) else None,
        adapter=adapter,
        columns=_columns(args, config, whole),
        settings={k: v for k in ("date", "lm_eval_version", "git_hash", "transformers_version")
                  if (v := whole.get(k)) is not None}
        | {k: v for k in ("batch_size", "device") if (v := config.get(k)) is not None},
    )  # fmt: skip


def _columns(args: dict[str, Any], config: dict[str, Any], whole: dict[str, Any]) -> dict[str, str]:
    made: dict[str, str] = {}
    for name, meaning in QUANTIZED.items():
        if not _is_off(args.get(name)):
            made["quantization"] = meaning or _as_text(args[name])
    template = whole.get("chat_template_sha") or whole.get("chat_template")
    if not _is_off(template):
        made["chat_template"] = _as_text(template)
    prompt = whole.get("system_instruction_sha") or whole.get("system_instruction")
    if not _is_off(prompt):
        made["system_prompt"] = _as_text(prompt)
    others = {k: v for k, v in args.items() if k not in NEUTRAL and not _is_off(v)}
    for name in ("limit", "gen_kwargs"):
        if not _is_off(config.get(name)):
            others[name] = config[name]
    if not _is_off(whole.get("fewshot_as_multiturn")):
        others["fewshot_as_multiturn"] = whole["fewshot_as_multiturn"]
    if others:
        made["variant"] = ";".join(f"{k}={_as_text(v)}" for k, v in sorted(others.items()))
    return made


def _is_off(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in ("", "none", "null", "false")
    return value is None or value is False or value in ({}, [])


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, default=str)
