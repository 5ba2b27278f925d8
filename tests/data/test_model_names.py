"""Sizes and steps from names: real names from public hubs, with their true sizes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from augury.data.model_names import (
    LARGEST,
    LAST_STEP,
    SMALLEST,
    family_of,
    parse_model_name,
    read_size,
    size_of,
    step_of,
    tokens_of,
)

# Name on the hub and true size in billions (with embeddings, by its card or its weights).
# A nominal size may be off by a third, hence the name.
REAL = """
EleutherAI/pythia-14m .0141|EleutherAI/pythia-31m .0305|EleutherAI/pythia-70m .0704
EleutherAI/pythia-70m-deduped .0704|EleutherAI/pythia-160m .162|EleutherAI/pythia-410m .405
EleutherAI/pythia-1b 1.01|EleutherAI/pythia-1.4b-deduped-v0 1.41|EleutherAI/pythia-2.8b 2.78
EleutherAI/pythia-6.9b 6.86|EleutherAI/pythia-12b-deduped 11.8|EleutherAI/pythia-v1.1-1b-bf16 1.01
EleutherAI/gpt-neo-125m .125|EleutherAI/gpt-neo-1.3B 1.32|EleutherAI/gpt-neo-2.7B 2.65
EleutherAI/gpt-j-6b 6.05|EleutherAI/gpt-neox-20b 20.6|EleutherAI/polyglot-ko-1.3b 1.33
EleutherAI/polyglot-ko-12.8b 12.9|EleutherAI/llemma_7b 6.74|EleutherAI/llemma_34b 33.7
facebook/opt-125m .125|facebook/opt-350m .331|facebook/opt-1.3b 1.32|facebook/opt-2.7b 2.65
facebook/opt-6.7b 6.66|facebook/opt-13b 12.9|facebook/opt-30b 30.0|facebook/opt-66b 65.7
facebook/opt-iml-max-30b 30.0|facebook/galactica-125m .125|facebook/galactica-6.7b 6.66
facebook/xglm-564M .564|facebook/xglm-1.7B 1.73|facebook/xglm-7.5B 7.49|facebook/incoder-6B 6.65
facebook/MobileLLM-125M .125|huggyllama/llama-7b 6.74|huggyllama/llama-13b 13.0
huggyllama/llama-30b 32.5|huggyllama/llama-65b 65.3|meta-llama/Llama-2-7b-hf 6.74
meta-llama/Llama-2-13b-chat-hf 13.0|meta-llama/Llama-2-70b-hf 69.0|meta-llama/Meta-Llama-3-8B 8.03
meta-llama/Meta-Llama-3-70B-Instruct 70.6|meta-llama/Meta-Llama-3.1-405B 406
meta-llama/Llama-3.2-1B 1.24|meta-llama/Llama-3.2-3B-Instruct 3.21
meta-llama/Llama-3.3-70B-Instruct 70.6|codellama/CodeLlama-7b-hf 6.74
codellama/CodeLlama-34b-Python-hf 33.7|openlm-research/open_llama_3b 3.43
openlm-research/open_llama_7b_v2 6.74|openlm-research/open_llama_13b 13.0
mistralai/Mistral-7B-v0.1 7.24|mistralai/Mistral-7B-Instruct-v0.3 7.25
mistralai/Ministral-8B-Instruct-2410 8.02|mistralai/Codestral-22B-v0.1 22.2
mistralai/Mistral-Small-24B-Base-2501 23.6|Qwen/Qwen-1_8B 1.84|Qwen/Qwen-7B 7.72
Qwen/Qwen-14B 14.2|Qwen/Qwen-72B 72.3|Qwen/Qwen1.5-0.5B .464|Qwen/Qwen1.5-1.8B-Chat 1.84
Qwen/Qwen1.5-110B 111|Qwen/Qwen2-0.5B .494|Qwen/Qwen2-1.5B 1.54|Qwen/Qwen2-57B-A14B 57.4
Qwen/Qwen2.5-3B 3.09|Qwen/Qwen2.5-32B-Instruct 32.8|Qwen/Qwen2.5-Coder-7B 7.62
Qwen/Qwen2.5-7B-Instruct-1M 7.62|Qwen/Qwen3-0.6B-Base .596|Qwen/Qwen3-1.7B 1.72
Qwen/Qwen3-4B-Instruct-2507 4.02|Qwen/Qwen3-14B 14.8|Qwen/Qwen3-30B-A3B 30.5
Qwen/Qwen3-235B-A22B 235|Qwen/Qwen3-Next-80B-A3B-Instruct 81.3|google/gemma-2b 2.51
google/gemma-7b-it 8.54|google/gemma-2-2b 2.61|google/gemma-2-9b 9.24|google/gemma-2-27b-it 27.2
google/gemma-3-270m .268|google/gemma-3-1b-pt 1.0|google/gemma-3-4b-it 4.3
google/gemma-3-12b-pt 12.2|google/recurrentgemma-2b 2.68|google/recurrentgemma-9b 9.54
google/codegemma-7b 8.54|tiiuae/falcon-rw-1b 1.31|tiiuae/falcon-7b 7.22|tiiuae/falcon-40b 41.8
tiiuae/falcon-180B 180|tiiuae/falcon-mamba-7b 7.27|tiiuae/falcon-11B 11.1
tiiuae/Falcon3-10B-Base 10.3|tiiuae/Falcon-H1-0.5B-Base .521|bigscience/bloom-560m .559
bigscience/bloom-1b1 1.07|bigscience/bloom-1b7 1.72|bigscience/bloom-3b 3.0
bigscience/bloom-7b1 7.07|bigscience/bloomz-7b1-mt 7.07|bigscience/T0_3B 2.85|mosaicml/mpt-7b 6.65
mosaicml/mpt-30b-chat 30.0|mosaicml/mpt-7b-8k 6.65|stabilityai/stablelm-base-alpha-3b 3.64
stabilityai/stablelm-base-alpha-7b 7.87|stabilityai/stablelm-3b-4e1t 2.8
stabilityai/stablelm-2-1_6b 1.64|stabilityai/stablelm-2-12b 12.1
stabilityai/stablelm-2-zephyr-1_6b 1.64|stabilityai/stablelm-zephyr-3b 2.8
stabilityai/stable-code-3b 2.8|allenai/OLMo-1B-hf 1.18|allenai/OLMo-7B-0724-hf 6.89
allenai/OLMo-2-1124-7B 7.3|allenai/OLMo-2-1124-13B-Instruct 13.7|allenai/OLMo-2-0325-32B 32.2
allenai/Llama-3.1-Tulu-3-8B 8.03|HuggingFaceTB/SmolLM-135M .135|HuggingFaceTB/SmolLM-360M .362
HuggingFaceTB/SmolLM2-1.7B-Instruct 1.71|HuggingFaceTB/SmolLM3-3B-Base 3.08
HuggingFaceH4/zephyr-7b-beta 7.24|deepseek-ai/deepseek-llm-7b-base 6.91
deepseek-ai/deepseek-llm-67b-base 67.4|deepseek-ai/deepseek-moe-16b-base 16.4
deepseek-ai/deepseek-coder-1.3b-base 1.35|deepseek-ai/deepseek-coder-6.7b-instruct 6.74
deepseek-ai/deepseek-coder-33b-base 33.3|deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B 1.78
deepseek-ai/DeepSeek-R1-Distill-Llama-8B 8.03|01-ai/Yi-6B 6.06|01-ai/Yi-6B-200K 6.06
01-ai/Yi-34B-Chat 34.4|01-ai/Yi-1.5-9B 8.83|internlm/internlm-7b 7.32|internlm/internlm2-1_8b 1.89
internlm/internlm2_5-1_8b 1.89|internlm/internlm2_5-20b-chat 19.9
internlm/internlm3-8b-instruct 8.8|google-t5/t5-3b 2.85|google-t5/t5-11b 11.3
cerebras/Cerebras-GPT-111M .111|cerebras/Cerebras-GPT-256M .256|cerebras/Cerebras-GPT-590M .59
cerebras/Cerebras-GPT-1.3B 1.32|cerebras/Cerebras-GPT-6.7B 6.66|cerebras/Cerebras-GPT-13B 12.9
cerebras/btlm-3b-8k-base 2.65|RWKV/rwkv-4-169m-pile .169|RWKV/rwkv-4-430m-pile .43
RWKV/rwkv-4-1b5-pile 1.52|RWKV/rwkv-4-14b-pile 14.2|RWKV/rwkv-6-world-1b6 1.6
RWKV/v6-Finch-7B-HF 7.64|fla-hub/rwkv7-1.5B-world 1.53|state-spaces/mamba-130m .129
state-spaces/mamba-370m .372|state-spaces/mamba-790m-hf .793|state-spaces/mamba-1.4b 1.37
state-spaces/mamba-2.8b-slimpj 2.77|state-spaces/mamba2-2.7b 2.7
TinyLlama/TinyLlama-1.1B-Chat-v1.0 1.1|TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T 1.1
LLM360/K2-Think-32B 32.8|ibm-granite/granite-3.0-2b-base 2.63
ibm-granite/granite-3.1-8b-instruct 8.17|ibm-granite/granite-3.0-1b-a400m-base 1.33
ibm-granite/granite-3.0-3b-a800m-base 3.37|ibm-granite/granite-20b-code-base 20.1
nvidia/Minitron-4B-Base 4.19|nvidia/Nemotron-Mini-4B-Instruct 4.19
nvidia/nemotron-3-8b-base-4k 8.5|nvidia/Nemotron-4-340B-Base 341|nvidia/Nemotron-H-8B-Base-8K 8.1
nvidia/Llama-3_3-Nemotron-Super-49B-v1 49.9|nvidia/NVIDIA-Nemotron-Nano-9B-v2 8.89
apple/OpenELM-270M .272|apple/OpenELM-1_1B 1.08|apple/OpenELM-3B 3.04|apple/DCLM-7B 6.89
bigcode/starcoderbase-1b 1.14|bigcode/starcoder2-3b 3.03|bigcode/starcoder2-15b 16.0
Salesforce/codegen-350M-mono .357|Salesforce/codegen-16B-nl 16.1|Salesforce/xgen-7b-8k-base 6.9
databricks/dolly-v2-3b 2.78|databricks/dolly-v2-12b 11.8|lmsys/vicuna-13b-v1.5 13.0
togethercomputer/RedPajama-INCITE-Base-3B-v1 2.78|togethercomputer/LLaMA-2-7B-32K 6.74
AI-Sweden-Models/gpt-sw3-126m .186|AI-Sweden-Models/gpt-sw3-6.7b-v2 7.11
CohereForAI/aya-23-8B 8.03|CohereForAI/aya-expanse-32b 32.3|upstage/SOLAR-10.7B-v1.0 10.7
adept/persimmon-8b-base 9.4|openai/gpt-oss-20b 20.9|openai/gpt-oss-120b 117|THUDM/glm-4-9b 9.4
THUDM/chatglm3-6b 6.24|baichuan-inc/Baichuan2-13B-Base 13.9|Skywork/Skywork-13B-base 13.8
h2oai/h2o-danube-1.8b-base 1.83|openbmb/MiniCPM-2B-sft-bf16 2.72
LGAI-EXAONE/EXAONE-3.5-2.4B-Instruct 2.41|Zyphra/Zamba2-1.2B 1.22|Zyphra/zamba-7B-v1 7.23
microsoft/bitnet-b1.58-2B-4T 2.41|1bitLLM/bitnet_b1_58-3B 3.32|DAMO-NLP-MT/polylm-1.7b 1.74
rinna/japanese-gpt-neox-3.6b 3.6|llm-jp/llm-jp-3-1.8b 1.87|baidu/ERNIE-4.5-21B-A3B-PT 21.8
moonshotai/Moonlight-16B-A3B 16.0|LiquidAI/LFM2-1.2B 1.17|cyberagent/open-calm-7b 6.87
m-a-p/neo_7b 7.79
"""
TRUE = {
    name: float(size) * 1e9
    for name, size in (entry.split() for entry in re.split(r"[|\n]", REAL) if entry.strip())
}
# Models whose owners understate their size by more than a third.
ODD = {"AI-Sweden-Models/gpt-sw3-126m": 1.48, "openbmb/MiniCPM-2B-sft-bf16": 1.36,
       "google/recurrentgemma-2b": 1.34}  # fmt: skip
# Real names that do not give the model's size, or not clearly.
NO_SIZE = """
openai-community/gpt2 openai-community/gpt2-xl distilbert/distilgpt2 bigscience/bloom
bigscience/T0pp google-t5/t5-small google-t5/t5-large google/flan-t5-xl google/t5-v1_1-xxl
google/ul2 google/mt5-base google/switch-base-8 google/gemma-3n-E2B-it microsoft/phi-1
microsoft/phi-1_5 microsoft/phi-2 microsoft/Phi-3-mini-4k-instruct
microsoft/Phi-3-medium-128k-instruct microsoft/Phi-3.5-MoE-instruct microsoft/phi-4
mistralai/Mixtral-8x7B-v0.1 mistralai/Mixtral-8x22B-v0.1 mistralai/Mistral-Nemo-Base-2407
mistralai/Mistral-Large-Instruct-2407 Qwen/Qwen1.5-MoE-A2.7B meta-llama/Llama-4-Scout-17B-16E
meta-llama/Llama-4-Maverick-17B-128E-Instruct allenai/OLMoE-1B-7B-0924
mosaicml/mpt-1b-redpajama-200b deepseek-ai/DeepSeek-V2-Lite deepseek-ai/DeepSeek-V3
deepseek-ai/DeepSeek-R1 LLM360/Amber LLM360/CrystalCoder LLM360/K2 ai21labs/Jamba-v0.1
databricks/dbrx-base xai-org/grok-1 CohereForAI/c4ai-command-r-plus
Snowflake/snowflake-arctic-base bigcode/santacoder bigcode/starcoder THUDM/cogvlm
moonshotai/Kimi-K2-Base tencent/Hunyuan-A13B-Instruct gpt-4o-mini claude-x text-davinci-003
alpindale/WizardLM-2-8x22B TinyLlama/TinyLlama-1.1B-step-50K-105b
"""
SILENT = tuple(re.split(r"\s+", NO_SIZE.strip()))


def test_there_are_enough_names() -> None:
    assert len(TRUE) >= 150
    assert len({name.split("/")[0] for name in TRUE}) >= 40


@pytest.mark.parametrize("name", TRUE)
def test_the_size_in_a_real_name_is_its_true_one(name: str) -> None:
    """Within a third: 8.54 billion are named 7, and a factor of ten would be a misreading."""
    size, unclear = read_size(name)
    assert unclear is None
    assert size is not None
    assert 1 / 1.3 <= TRUE[name] / size <= ODD.get(name, 1.33) + 0.01


@pytest.mark.parametrize("name", SILENT)
def test_a_name_without_a_clear_size_has_none(name: str) -> None:
    assert size_of(name) is None
    assert parse_model_name(name).params is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("acme/llama_2_7b", "underscore"),  # version 2 of 7 billion, or 2.7 billion
        ("draft-1b-of-7b", "2 sizes"),
        ("mixtral-8x7b", "mixture"),
        ("Llama-4-Scout-17B-16E", "mixture"),
        ("run-1349728b", "no model has"),  # the abbreviated id of a commit
        ("run-0m", "no model has"),
    ],
)
def test_what_cannot_be_told_says_why(name: str, why: str) -> None:
    size, unclear = read_size(name)
    assert size is None
    assert why in (unclear or "")
    assert parse_model_name(name).unclear


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("step143000", 143_000),
        ("stage1-step1000-tokens5B", 1000),
        ("checkpoint-500", 500),
        ("runs/mix/checkpoint_step_500", 500),
        ("global_step500", 500),
        ("iter_0001000", 1000),
        ("ckpt_356", 356),
        ("mix@iteration-20", 20),
        ("step-500", 500),
        ("step64k", None),  # rounded: 64,000 or 65,536
        ("TinyLlama-1.1B-intermediate-step-1431k-3T", None),
        ("step0.5", None),
        ("multistep9", None),
        ("checkpoint_1_100000", None),  # an epoch and an update
        ("checkpoint-20240501", None),  # a day
        ("step99999999999", None),
        ("step10-of-step20", None),
        ("main", None),
        (None, None),
    ],
)
def test_steps(text: str | None, step: int | None) -> None:
    assert step_of(text) == step


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("stage1-step1000-tokens5B", 5e9),
        ("step738020-tokens3094B", 3.094e12),
        ("open-1b-350bt", 350e9),
        ("pythia-300B-tokens", 300e9),
        ("stablelm-3b-4e1t", None),
        ("TinyLlama-1.1B-intermediate-step-1431k-3T", None),
        ("m-1b-0.5MtokBS", None),
    ],
)
def test_tokens(text: str, tokens: float | None) -> None:
    assert tokens_of(text) == tokens


def test_measured_here_and_read_from_files_agree() -> None:
    """Tables join only if every module parses a name the same way: there is one parser."""
    for name, family, size in (
        ("bigscience/bloom-7b1", "bloom", 7.1e9),
        ("meta-llama/Llama-2-7b-hf", "Llama-2", 7e9),
    ):
        told = parse_model_name(name)
        assert (told.family, told.params, told.model) == (family, size, name)
    from augury.evaluate import hf_load, texts_only
    from augury.finetune import models

    assert hf_load.step_of is texts_only.step_of is models.step_of is step_of
    assert hf_load.family_of is texts_only.family_of is family_of


@given(
    st.text(
        st.sampled_from("0123456789.,_-/bBmMxXkKtTaAeE stepchtokn"), max_size=40
    )
)  # fmt: skip
def test_any_name_gives_a_possible_size_or_none(name: str) -> None:
    told = parse_model_name(name, name)
    assert told.params is None or SMALLEST <= told.params <= LARGEST
    assert told.step is None or 0 <= told.step <= LAST_STEP


@given(
    size=st.sampled_from(["70m", "1.4b", "7B", "1_8B", "7b1", "0.5B"]),
    before=st.sampled_from(["mix", "org/mix", "Mix2.5", "v6-mix"]),
    after=st.sampled_from(["", "-chat", "-8k", "-v0.1", "-2407", "-hf", "-4e1t", "-A3B"]),
)
def test_a_size_is_read_wherever_it_stands(size: str, before: str, after: str) -> None:
    known = {"70m": 7e7, "1.4b": 1.4e9, "7B": 7e9, "1_8B": 1.8e9, "7b1": 7.1e9, "0.5B": 5e8}
    assert size_of(f"{before}-{size}{after}") == known[size]
    assert size.lower() not in (family_of(f"{before}-{size}{after}") or "").lower()
