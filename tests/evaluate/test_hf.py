"""The transformers backend: compared with the lab's, with itself, and what it refuses."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy import stats

from augury.data.model_names import family_of, step_of
from augury.errors import DataError, UsageError
from augury.evaluate import Backend, NextRequest, SampleRequest, ScoreRequest, greedy_texts
from augury.evaluate.hf import TransformersBackend
from augury.evaluate.streams import uniforms
from augury.lab import LabBackend, encode, lab_instances
from tests.evaluate.exported import (
    ARCHITECTURES,
    bpe_model,
    exported,
    of_architecture,
    tokenizers,
    torch,
    transformers,
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return exported(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module")
def lab(folders: tuple[Path, Path]) -> LabBackend:
    return LabBackend(folders[0])


@pytest.fixture(scope="module")
def same(folders: tuple[Path, Path]) -> TransformersBackend:
    return TransformersBackend(folders[1])


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> TransformersBackend:
    return TransformersBackend(bpe_model(tmp_path_factory.mktemp("bpe") / "tiny"))


@pytest.mark.slow
def test_an_exported_lab_model_is_the_same_function(
    lab: LabBackend, same: TransformersBackend
) -> None:
    instances = lab_instances("sort-digits", 100).instances
    requests = [ScoreRequest(i.prompt, i.answers[0]) for i in instances]
    requests += [ScoreRequest("", "abc"), ScoreRequest("=1>", "^ #"), ScoreRequest("ab", "c" * 30)]
    for request, ours, theirs in zip(
        requests, lab.logprobs(requests), same.logprobs(requests), strict=True
    ):
        assert theirs.tokens == pytest.approx(ours.tokens, abs=1e-4), request
        assert theirs.greedy == ours.greedy, request
    nexts = [
        NextRequest(i.prompt, tuple(encode("12"[: k % 3]).tolist()))
        for k, i in enumerate(instances)
    ]
    assert same.next_token_logprobs(nexts) == pytest.approx(
        lab.next_token_logprobs(nexts), abs=1e-4
    )
    prompts = [i.prompt for i in instances]
    assert greedy_texts(same, prompts, 8) == greedy_texts(lab, prompts, 8)
    assert dict(same.about) == dict(lab.about)
    assert same.ends == lab.ends == frozenset()
    assert isinstance(same, Backend)
    assert not same.unique_tokens


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.6])
def test_samples_come_at_their_exact_rates(llama: TransformersBackend, temperature: float) -> None:
    """Chi-square over all texts of up to two tokens, with rates from next_token_logprobs.

    Two prompts of different lengths share batches, so one is padded.
    """
    n = 20_000
    prompts = ["the cat", "a"]
    drawn = llama.sample(
        [SampleRequest(p, n, 2, seed=3 + i, temperature=temperature) for i, p in enumerate(prompts)]
    )
    for prompt, texts in zip(prompts, drawn, strict=True):
        expected: Counter[str] = Counter()
        first = tempered(llama, NextRequest(prompt), temperature)
        for token, p in enumerate(first):
            if token in llama.ends:
                expected[""] += p
                continue
            second = tempered(llama, NextRequest(prompt, (token,)), temperature)
            for after, q in enumerate(second):
                rest = () if after in llama.ends else (after,)
                expected[llama.decode((token, *rest))] += p * q
        assert sum(expected.values()) == pytest.approx(1)
        found = Counter(texts)
        assert set(found) <= set(expected)
        common = [text for text in expected if n * expected[text] >= 5]
        rates = np.array([expected[text] for text in common])
        counts = np.array([found[text] for text in common])
        observed = np.append(counts, n - counts.sum())
        wanted = n * np.append(rates, 1 - rates.sum())
        assert stats.chisquare(observed, wanted).pvalue > 1e-3
        assert len(common) > 50


def tempered(backend: TransformersBackend, request: NextRequest, temperature: float) -> np.ndarray:
    scaled = backend.next_token_logprobs([request])[0] / temperature
    return np.exp(scaled - np.logaddexp.reduce(scaled))


def test_a_sample_depends_on_its_own_request_alone(
    llama: TransformersBackend, tmp_path: Path
) -> None:
    wanted = SampleRequest("the cat sat", 40, 12, seed=7)
    (alone,) = llama.sample([wanted])
    others = [SampleRequest("a", 90, 20, seed=1), SampleRequest("the dog and a cat", 5, 3, seed=2)]
    assert llama.sample([others[0], wanted, others[1]])[1] == alone
    (more,) = llama.sample([SampleRequest("the cat sat", 70, 12, seed=7)])
    assert more[:40] == alone
    (longer,) = llama.sample([SampleRequest("the cat sat", 40, 20, seed=7)])
    assert all(b.startswith(a) for a, b in zip(alone, longer, strict=True))
    assert len(set(alone)) > 10
    (other,) = llama.sample([SampleRequest("the cat sat", 40, 12, seed=8)])
    assert other != alone
    narrow = TransformersBackend(bpe_model(tmp_path / "tiny"), batch_tokens=60)
    assert narrow.sample([others[0], wanted])[1] == alone
    assert llama.sample([]) == []


def test_scores_are_those_of_one_token_after_another(llama: TransformersBackend) -> None:
    pairs = [("the cat", " sat on"), ("a", " dog and a cat"), ("", "the end"), ("the ", "mat")]
    for (prompt, continuation), score in zip(
        pairs, llama.logprobs([ScoreRequest(*p) for p in pairs]), strict=True
    ):
        _, behind = llama._text.seam(prompt, continuation)
        nexts = [NextRequest(prompt, tuple(behind[:k])) for k in range(len(behind))]
        table = llama.next_token_logprobs(nexts)
        assert score.tokens == pytest.approx(
            [table[k, token] for k, token in enumerate(behind)], abs=1e-5
        )
        places = [1 + (table[k] > table[k, token]).sum() for k, token in enumerate(behind)]
        assert score.ranks is not None
        assert score.ranks == pytest.approx(places, abs=1)  # for tokens whose logits nearly agree
        assert llama.decode(behind) == continuation
    assert np.exp(table).sum(1) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name != "mamba"])
def test_padding_and_sharing_change_nothing(name: str, tmp_path: Path) -> None:
    """Compared with one pass over each text alone, without a cache."""
    folder = of_architecture(name, tmp_path / "model")
    backend = TransformersBackend(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    nexts = [
        NextRequest("the cat sat on the mat", (5, 6, 7)),
        NextRequest("a", (8, 9, 10)),
        NextRequest("a"),
        NextRequest("the dog"),
        NextRequest("a", (8, 9, 11)),
    ]
    for request, row in zip(nexts, backend.next_token_logprobs(nexts), strict=True):
        tokens = [*backend._text.prompt(request.prompt), *request.written]
        with torch.no_grad():
            logits = model(torch.tensor([tokens]), use_cache=False).logits[0, -1]
        assert row == pytest.approx(logits.log_softmax(0).numpy(), abs=2e-5)
    requests = [
        SampleRequest("the cat sat on the mat", 8, 10, seed=1),
        SampleRequest("a", 9, 10, seed=2),
        SampleRequest("the dog", 5, 4, seed=3),
    ]
    together = backend.sample(requests)
    assert together == [backend.sample([request])[0] for request in requests]


def test_a_recurrent_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="keeps a recurrent state in place of keys and values"):
        TransformersBackend(of_architecture("mamba", tmp_path / "model"))


def test_greedy_text_is_what_scores_call_greedy(llama: TransformersBackend) -> None:
    token = int(llama.next_token_logprobs([NextRequest("the cat")]).argmax())
    texts = {llama.decode([t]) for t in range(2, 40)}
    scored = llama.logprobs([ScoreRequest("the cat", text) for text in sorted(texts) if text])
    best = [text for text, s in zip(sorted(t for t in texts if t), scored, strict=True) if s.greedy]
    assert best == [llama.decode([token])]


def test_the_seam_keeps_the_prompt_as_a_model_reads_it(llama: TransformersBackend) -> None:
    """The tokenizer turns "the " and "mat" into one " mat", which cannot follow "the "."""
    text = llama._text
    before, behind = text.seam("the ", "mat")
    assert before == text.prompt("the ")
    assert behind == text.prompt("mat")
    assert text.prompt("the mat") != [*before, *behind]
    assert text.prompt("") == [0]  # the begin token, because there is nothing else


def test_a_reference_that_the_tokenizer_cannot_write_is_named(tmp_path: Path) -> None:
    words = {"<unk>": 0, "yes": 1, "no": 2, "maybe": 3}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
    config = transformers.GPT2Config(
        vocab_size=4,
        n_positions=8,
        n_embd=4,
        n_layer=1,
        n_head=1,
        bos_token_id=None,
        eos_token_id=2,
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    fast.save_pretrained(tmp_path)
    backend = TransformersBackend(tmp_path)
    with pytest.raises(UsageError, match="cannot write ' perhaps' after 'yes'"):
        backend.logprobs([ScoreRequest("yes", " perhaps")])
    with pytest.raises(UsageError, match="has no begin token: a prompt must not be empty"):
        backend.sample([SampleRequest("", 1, 1, seed=0)])


def test_requests_that_do_not_fit_are_named(
    same: TransformersBackend, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"needs 41 tokens .* lab-w8 reads 32"):
        same.logprobs([ScoreRequest("a" * 30, "b" * 10)])
    with pytest.raises(UsageError, match="needs 34 tokens"):
        same.sample([SampleRequest("a" * 30, 1, 3, seed=0)])
    with pytest.raises(UsageError, match="needs 34 tokens"):
        same.next_token_logprobs([NextRequest("a" * 30, (1, 2))])
    with pytest.raises(UsageError, match="cannot write 'Z'"):
        same.next_token_logprobs([NextRequest("Z")])
    for dtype in ("float31", "int32"):
        with pytest.raises(UsageError, match="floating-point types, such as 'bfloat16', not"):
            TransformersBackend(folders[1], dtype=dtype)
    for device, why in (("cud", "unknown"), ("cuda:99", "not usable here")):
        with pytest.raises(UsageError, match=f"device '{device}' is {why}; expected cpu, cuda"):
            TransformersBackend(folders[1], device=device)
    with pytest.raises(UsageError, match="batch_tokens must be positive, not 0"):
        TransformersBackend(folders[1], batch_tokens=0)
    for path, line in (
        (tmp_path, "has no config.json; expected a checkpoint of a causal language model"),
        (tmp_path / "none", "there is no such folder"),
        (folders[1] / "config.json", "is a file, and not a GGUF file"),
    ):
        with pytest.raises(DataError, match=f"^{path}: {line}"):
            TransformersBackend(path)


def cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-500])


def without_a_weight(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def with_a_weight_cut(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"][:3].copy()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (cut, "cannot be read: .*not fully covered"),
        (without_a_weight, r"lacks 1 of the weights .got 'model.layers.1.mlp.up_proj.weight'"),
        (with_a_weight_cut, "cannot be read: "),
        (lambda folder: (folder / "config.json").write_text("{"), "not a valid JSON file"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "cannot be read: "),
    ],
)
def test_a_damaged_checkpoint_is_named(
    damage: Callable[[Path], object], line: str, tmp_path: Path
) -> None:
    folder = bpe_model(tmp_path / "model")
    damage(folder)
    with pytest.raises(DataError, match=line) as error:
        TransformersBackend(folder)
    assert str(error.value).startswith(f"{folder}: ")


def test_a_missing_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UsageError, match=r'pip install "augury\[models\]"'):
        TransformersBackend("EleutherAI/pythia-70m")


def test_names_tell_family_and_step(tmp_path: Path) -> None:
    folder = bpe_model(tmp_path / "pythia-1.4b-deduped")
    about = TransformersBackend(folder, "step3000").about
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    inner = sum(p.numel() for p in model.model.layers.parameters()) + 16  # plus the last norm
    assert about == {
        "model": "pythia-1.4b-deduped",
        "family": "pythia-deduped",
        "revision": "step3000",
        "step": 3000,
        "params": float(inner),
        "params_total": float(sum(p.numel() for p in model.parameters())),
    }
    assert family_of("Qwen/Qwen2.5-0.5B") == "Qwen2.5"
    assert family_of("meta-llama/Llama-2-7b-hf") == "Llama-2"
    assert family_of("gpt2-xl") == "gpt2-xl"
    assert step_of("stage1-step1000-tokens5B") == 1000
    assert step_of(None, "main") is None


def test_a_model_of_half_precision_answers(folders: tuple[Path, Path]) -> None:
    half = TransformersBackend(folders[1], dtype="bfloat16")
    (score,) = half.logprobs([ScoreRequest("=31>", "13")])
    (whole,) = TransformersBackend(folders[1]).logprobs([ScoreRequest("=31>", "13")])
    assert score.total == pytest.approx(whole.total, abs=0.2)
    assert score.total != whole.total
    assert len(half.sample([SampleRequest("=31>", 3, 2, seed=0)])[0]) == 3


def test_threads_are_left_as_they_were(same: TransformersBackend) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        same.sample([SampleRequest("=31>", 1, 1, seed=0)])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_numbers_of_a_sample_are_its_own() -> None:
    whole = uniforms(11, 0, 500, 40)
    assert np.array_equal(uniforms(11, 123, 50, 17), whole[123:173, :17])
    assert not np.array_equal(uniforms(12, 0, 500, 40), whole)
    assert stats.kstest(whole.ravel(), "uniform").pvalue > 1e-3
    neighbours = [np.corrcoef(whole[:-1].ravel(), whole[1:].ravel())[0, 1]]
    neighbours.append(np.corrcoef(whole[:, :-1].ravel(), whole[:, 1:].ravel())[0, 1])
    assert np.abs(neighbours).max() < 4 / np.sqrt(whole.size)
