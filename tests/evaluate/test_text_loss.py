"""The loss on a text, compared with transformers by hand; windows, with their definition."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from augury.data import read_table
from augury.errors import DataError
from augury.evaluate.text_loss import read_documents, text_loss, windows
from tests.cli.test_cli import augury as augury  # the fixture
from tests.evaluate.exported import TEXT, bpe_model, torch, transformers


@pytest.mark.parametrize(
    ("count", "window", "stride"),
    [(1, 8, 4), (2, 8, 4), (8, 8, 4), (9, 8, 4), (50, 8, 3), (50, 8, 7)],
)
def test_every_token_is_scored_once_with_enough_in_front(
    count: int, window: int, stride: int
) -> None:
    own: list[int] = []
    for first, begin, end in windows(count, window, stride):
        assert 0 <= first < begin < end <= count
        assert end - first <= window
        for place in range(begin, end):
            assert place - first >= min(place, window - stride)
            own.append(place)
    assert own == list(range(1, count))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bpe_model(tmp_path_factory.mktemp("loss") / "tiny-1m")


def by_hand(model: Path, document: str, window: int, stride: int) -> tuple[float, int]:
    """The sum and number of a document's losses: transformers' own loss, window by window."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    network = transformers.AutoModelForCausalLM.from_pretrained(model).eval()
    ids = tokenizer(document)["input_ids"]
    total, count, done = 0.0, 0, 1
    while done < len(ids):
        end = min(window if done == 1 else done + stride, len(ids))
        begin = max(0, end - window)
        labels = [-100] * (done - begin) + ids[done:end]
        with torch.no_grad():
            loss = network(torch.tensor([ids[begin:end]]), labels=torch.tensor([labels])).loss
        total += float(loss) * (end - done)
        count += end - done
        done = end
    return total, count


@pytest.mark.slow
def test_it_is_the_loss_that_transformers_gives(augury: Any, model: Path, tmp_path: Path) -> None:
    documents = [" ".join(TEXT), " ".join(TEXT[:2] * 9), TEXT[0]]
    text = tmp_path / "held-out.jsonl"
    text.write_text("".join(json.dumps({"text": d}) + "\n" for d in documents))
    out = tmp_path / "losses.csv"
    said = augury("loss", "--model", f"hf:{model}", "--text", text, "--window", 16, "--stride", 5,
                  "--out", out, "--json")  # fmt: skip
    assert said.status == 0, said.err
    (found,) = json.loads(said.out)
    sums = np.array([by_hand(model, document, 16, 5) for document in documents])
    assert found["tokens"] == sums[:, 1].sum()
    assert found["loss"] == pytest.approx(sums[:, 0].sum() / sums[:, 1].sum(), rel=1e-5)
    size = sum(len(d.encode()) for d in documents)
    assert found["bpb"] == pytest.approx(sums[:, 0].sum() / size / np.log(2), rel=1e-5)
    table = read_table(out)
    assert table["loss"].item() == pytest.approx(found["loss"])
    assert (table["loss_set"].item(), table["params"].item()) == ("held-out", found["params"])
    assert "tokens" not in table.columns


def test_the_standard_error_is_that_of_documents_drawn_at_random() -> None:
    class Reader:
        """Each token has the loss given in its document."""

        context = None

        def document_tokens(self, text: str) -> list[int]:
            return [int(float(text) * 1000)] * (2 + int(float(text) * 10))

        def pair_logprobs(self, pairs: Any) -> list[Any]:
            return [np.full(len(own), -own[0] / 1000) for _, own in pairs]

    rng = np.random.default_rng(0)

    def once() -> tuple[float, float]:
        found = text_loss(Reader(), [f"{x:.3f}" for x in rng.uniform(1, 3, 60)])
        assert found.stderr is not None
        return found.loss, found.stderr

    losses, errors = np.array([once() for _ in range(300)]).T
    assert errors.mean() == pytest.approx(losses.std(), rel=0.12)
    assert text_loss(Reader(), ["1.5"]).stderr is None


def test_what_cannot_be_measured(augury: Any, model: Path, tmp_path: Path) -> None:
    text = tmp_path / "t.txt"
    text.write_text(TEXT[0])
    for options, words in (
        (("--window", 65), "window must be between 2 and 64"),
        (("--window", 8, "--stride", 8), "stride must lie between 1 and 7"),
    ):
        said = augury("loss", "--model", f"hf:{model}", "--text", text, *options)
        assert (said.status, words in said.err) == (2, True), said.err
    assert "hf:PATH" in augury("loss", "--model", "lab:x", "--text", text).err
    (tmp_path / "e.jsonl").write_text('{"text": "a"}\n{"words": 1}\n')
    with pytest.raises(DataError, match="row 2: is not a document"):
        read_documents(tmp_path / "e.jsonl")
    (tmp_path / "none.txt").write_text("")
    with pytest.raises(DataError, match="no text"):
        read_documents(tmp_path / "none.txt")
    with pytest.raises(DataError, match="cannot be read"):
        read_documents(tmp_path / "nowhere.txt")
