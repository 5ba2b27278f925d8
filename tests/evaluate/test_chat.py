"""Chat models use their own template, and all that shapes the prompt is part of the identity."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from augury.errors import DataError, UsageError
from augury.evaluate import SampleRequest, ScoreRequest, Task, read_task
from augury.evaluate.chat import Chat, chat_for, without_reasoning
from augury.evaluate.hf import TransformersBackend
from augury.evaluate.http import HTTPBackend
from tests.evaluate.exported import bpe_model
from tests.evaluate.servers import Misbehaving, says

TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = Path(bpe_model(tmp_path_factory.mktemp("chat") / "tiny"))
    (path / "chat_template.jinja").write_text(TEMPLATE)
    return path


def test_a_prompt_is_asked_as_the_template_says(folder: Path) -> None:
    """Sampled or scored: the same numbers as for the rendered text without a chat."""
    plain = TransformersBackend(folder)
    chat = TransformersBackend(folder, chat=Chat("be brief", "Q: {prompt}"))
    rendered = "system: be brief\nuser: Q: the cat\nassistant: "
    for backend, prompt in ((plain, rendered), (chat, "the cat")):
        found = backend.sample([SampleRequest(prompt, 4, 6, 1)])
        score = backend.logprobs([ScoreRequest(prompt, "the")])[0].total
        if backend is plain:
            expected: Any = found, score
    assert found == expected[0]
    assert score == pytest.approx(expected[1], abs=1e-5)


def test_it_is_part_of_a_rows_identity(folder: Path) -> None:
    kinds = [None, Chat(), Chat("be brief"), Chat(ask="Q: {prompt}")]
    about = [dict(TransformersBackend(folder, chat=chat).about) for chat in kinds]
    assert len({str(a) for a in about}) == 4
    assert "chat_template" not in about[0]
    assert about[1]["chat_template"] == about[2]["chat_template"]


def test_a_checkpoint_without_a_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no chat template"):
        TransformersBackend(bpe_model(tmp_path / "tiny"), chat=Chat())
    with pytest.raises(UsageError, match=r"needs \{prompt\}"):
        Chat(ask="no place")


def test_a_template_that_refuses_a_role_is_quoted(tmp_path: Path) -> None:
    """Some templates, such as Gemma's, take no system prompt."""
    path = Path(bpe_model(tmp_path / "tiny"))
    refusal = "{{ raise_exception('System role not supported') }}" + TEMPLATE
    (path / "chat_template.jinja").write_text(refusal)
    backend = TransformersBackend(path, chat=Chat("be brief"))
    with pytest.raises(UsageError, match=r"refuses this conversation: System role not supported"):
        backend.sample([SampleRequest("the cat", 4, 6, 1)])


def test_a_server_is_asked_for_a_chat() -> None:
    message = {"content": "<think>hm\n</think>\n\nParis"}
    cut_off = {"content": None, "reasoning_content": "still thinking"}
    answer = {"choices": [{"index": 0, "message": message}, {"index": 1, "message": cut_off}]}
    with (
        Misbehaving(says(200, answer)) as server,
        HTTPBackend(server.url, "m", n_per_request=2, chat=Chat("be brief")) as backend,
    ):
        assert backend.sample([SampleRequest("capital?", 2, 9, 1)]) == [["Paris", ""]]
        assert backend.url.endswith("/chat/completions")
        assert set(backend.about) >= {"chat_template", "system_prompt"}
    assert server.bodies[0]["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "capital?"},
    ]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("plain", "plain"),
        ("<think>a</think>b", "b"),
        ("a</think>\n\nb", "b"),
        ("<think>never ends", ""),
    ],
)
def test_reasoning_is_left_out(text: str, answer: str) -> None:
    assert without_reasoning(text) == answer


def few_shot(path: Path, *lines: dict[str, Any]) -> Task:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return read_task(path)


SOLVED = [{"role": "user", "content": "France?"}, {"role": "assistant", "content": "Paris"}]
ASKED = {"role": "user", "content": "Spain?"}


def test_turns_of_a_task_come_before_its_prompt(tmp_path: Path) -> None:
    """Given before a prompt, or with the prompt as the last message: the same conversation."""
    before = {"prompt": "Spain?", "messages": SOLVED, "reference": "Madrid"}
    whole = {"messages": [*SOLVED, ASKED], "reference": "Madrid"}
    for line in (before, whole):
        plain = {"id": "2", "prompt": "Italy?", "reference": "Rome"}
        task = few_shot(tmp_path / "capitals.jsonl", line, plain)
        chat = chat_for(True, "be brief", None, task)
        assert chat is not None
        assert task.instances[0].prompt == "Spain?"
        system = {"role": "system", "content": "be brief"}
        assert chat.messages("Spain?") == [system, *SOLVED, ASKED]
        assert len(chat.messages("Italy?")) == 2
        with pytest.raises(UsageError, match="has messages: they are for chat"):
            chat_for(False, None, None, task)


def test_turns_that_make_no_conversation_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "capitals.jsonl"
    for wrong in ("Paris", [{"role": "user"}], [{"role": "judge", "content": "x"}], ["x"]):
        with pytest.raises(DataError, match="line 1: not a conversation"):
            few_shot(path, {"prompt": "Spain?", "messages": wrong, "reference": "Madrid"})
    task = few_shot(
        path,
        {"id": 1, "prompt": "Spain?", "messages": SOLVED, "reference": "Madrid"},
        {"id": 2, "prompt": "Spain?", "reference": "Madrid"},
    )
    with pytest.raises(UsageError, match="'1' and '2' have the same prompt"):
        chat_for(True, None, None, task)
