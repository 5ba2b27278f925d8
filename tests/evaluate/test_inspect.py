"""Inspect's models and sandboxes, with its own `mockllm` and the sandbox without Docker."""

from __future__ import annotations

import gc
import importlib.util
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from augury.errors import DataError, UsageError
from augury.evaluate import Backend, Instance, SampleRequest, ScoreRequest, Task, pass_until
from augury.evaluate.chat import Chat
from augury.evaluate.checkers import checker, validate_task
from augury.evaluate.inspect_api import InspectBackend
from augury.evaluate.inspect_sandbox import InspectSandbox
from augury.evaluate.models import Loading, open_model
from augury.evaluate.sandbox import Limits, Program
from augury.study.plan.study_file import check_study

# Inspect calls tenacity by an older interface.
pytestmark = pytest.mark.filterwarnings("ignore:The 'initial' parameter:DeprecationWarning")
# Inspect leaves its streams to the garbage collector, which warns.
leaves_streams = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
needs_inspect = pytest.mark.skipif(
    importlib.util.find_spec("inspect_ai") is None, reason="the extra inspect is not installed"
)
ASK = SampleRequest("Say a or b.", 4, 3, seed=5, temperature=0.7, stop=("\n",))


def _mock(say: Callable[..., Any], **options: Any) -> InspectBackend:
    return InspectBackend("mockllm/model", model_args={"custom_outputs": say}, **options)


def _output(text: str, tokens: int = 2) -> Any:
    from inspect_ai.model import ModelOutput, ModelUsage

    made = ModelOutput.from_content("mockllm", text)
    made.usage = ModelUsage(input_tokens=7, output_tokens=tokens, total_tokens=7 + tokens)
    return made


def _coin(messages: Any, tools: Any, choice: Any, config: Any) -> Any:
    return _output("ab"[random.Random(config.seed).random() < 0.25])


@pytest.mark.slow
@needs_inspect
def test_what_is_asked_reaches_the_provider_and_answers_come_in_order() -> None:
    seen: list[Any] = []

    def say(messages: Any, tools: Any, choice: Any, config: Any) -> Any:
        seen.append((messages, config))
        return _output(f"<think>hm</think>{config.seed}\nand more")

    asked = _mock(say, chat=Chat(system="Be brief."), extra={"top_p": 0.9}, in_flight=2)
    assert isinstance(asked, Backend)
    texts = asked.sample([ASK, SampleRequest("Again.", 2, 3, seed=6)])
    assert [len(t) for t in texts] == [4, 2]
    assert len({text for own in texts for text in own}) == 6, "every sample has a seed of its own"
    assert asked.sample([SampleRequest(ASK.prompt, 2, 3, 5, stop=("\n",))])[0] == texts[0][:2]
    messages, config = seen[0]
    assert [(m.role, m.text) for m in messages] == [("system", "Be brief."), ("user", ASK.prompt)]
    assert (config.temperature, config.max_tokens, config.stop_seqs) == (0.7, 3, ["\n"])
    assert (config.top_p, config.max_connections, config.max_retries) == (0.9, 2, 8)
    assert (asked.usage.drawn, asked.usage.read, asked.usage.paid) == (16, 56, 72)
    assert asked.about["model"] == "mockllm/model"
    assert "system_prompt" in asked.about
    asked.close()


@needs_inspect
def test_a_pass_rate_is_measured_through_inspect() -> None:
    task = Task("ab", (Instance("1", "Say a or b.", ("b",)),), 0.5, "exact", 3)
    found = pass_until(_mock(_coin), task, method="independent", r=50)
    rate = found.passes[0] / found.samples[0]
    assert 0.15 < rate < 0.4  # 50 passes: 0.25 with a standard error of 0.03
    assert found.distribution == "unknown"


@needs_inspect
@pytest.mark.parametrize(
    ("problem", "kind", "message"),
    [
        (RuntimeError("[bold]401[/bold] no such key"), UsageError, "refuses the request: .*401 no"),
        (TimeoutError("slow"), DataError, "no answer in time"),
        (ConnectionError("no route"), DataError, "no connection .*no route"),
        (None, DataError, "an answer without a text"),
    ],
)
def test_trouble_of_a_provider_is_told_in_a_line(
    problem: Exception | None, kind: type[Exception], message: str
) -> None:
    from inspect_ai.model import ModelOutput, ModelUsage

    def say(*_: Any) -> Any:
        if problem is not None:
            raise problem
        return ModelOutput(model="m", error="overloaded", usage=ModelUsage())

    with pytest.raises(kind, match=message) as caught:
        _mock(say, retries=0).sample([ASK])
    assert "\n" not in str(caught.value)


@needs_inspect
def test_what_it_cannot_do_is_said() -> None:
    asked = _mock(_coin)
    for refused in (
        lambda: asked.logprobs([ScoreRequest("a", "b")]),
        lambda: asked.decode([1]),
        lambda: asked.next_token_logprobs([]),
    ):
        with pytest.raises(UsageError, match="mockllm/model"):
            refused()
    with pytest.raises(UsageError, match="has no field 'topk'"):
        InspectBackend("mockllm/model", extra={"topk": 1})
    with pytest.raises(UsageError, match=r"cannot open nobody/model: .*nobody"):
        open_model("inspect:nobody/model", Loading(chat=Chat()))
    assert open_model("inspect:mockllm/model", Loading(chat=Chat())).about["family"]


def test_a_model_of_inspect_is_asked_as_a_chat(without_package: Callable[[str], None]) -> None:
    with pytest.raises(UsageError, match="add --chat"):
        open_model("inspect:openai/gpt-4o")
    study = '[[checkpoints]]\nmodel = "inspect:openai/gpt-4o"\n'
    assert any("chat = true" in str(m) for m in check_study(study, Path())[1])
    without_package("inspect_ai")
    with pytest.raises(UsageError, match=r'pip install "augury\[inspect\]"'):
        open_model("inspect:openai/gpt-4o", Loading(chat=Chat()))
    with pytest.raises(UsageError, match=r'pip install "augury\[inspect\]"'):
        InspectSandbox("docker")


CODE = {
    "right": ("def up(x):\n    return x + 1\n", "passed"),
    "wrong": ("def up(x):\n    return x\n", "failed"),
    "leaves early": ("import os\nos._exit(0)\n", "failed"),
    "turns in circles": ("while True:\n    pass\n", "timeout"),
    "takes all": ("x = bytearray(1 << 30)\n", "memory"),
}


@pytest.mark.slow
@needs_inspect
@leaves_streams
def test_programs_are_judged_in_a_sandbox_of_inspects(capsys: pytest.CaptureFixture[str]) -> None:
    box = InspectSandbox("local", limits=Limits(cpu_seconds=1, wall_seconds=20.0))
    assert "WITHOUT WALLS (Inspect's sandbox 'local')" in capsys.readouterr().err
    tests = "def check(f):\n    assert f(1) == 2\ncheck(up)\n"
    verdicts = box.run(Program(name, code, tests, entry_points=("up",))
                       for name, (code, _) in CODE.items())  # fmt: skip
    assert {v.id: v.outcome for v in verdicts} == {name: end for name, (_, end) in CODE.items()}
    assert verdicts[1].detail == "AssertionError"
    with pytest.raises(UsageError, match="Inspect's sandbox 'nowhere' cannot be used"):
        InspectSandbox("nowhere").run([Program("1", "", tests, entry_points=("up",))])
    gc.collect()


@pytest.mark.slow
@needs_inspect
@leaves_streams
def test_unit_tests_name_the_sandbox_in_their_checker() -> None:
    data = {"entry_point": "up", "test": "import numpy\ndef check(f):\n    assert f(1) == 2\n"}
    instance = Instance("1", 'def up(x):\n    """One more."""\n', (), data=data)
    judge = checker("unit-tests:inspect-local")
    validate_task(Task("up", (instance,), 0.0, judge.name, 9))  # numpy may be available inside
    assert judge(instance, "    return x + 1\n")
    assert not judge(instance, "    return x\n")
    assert judge.reason(instance, "    return x\n", False) == "failed: AssertionError"
    gc.collect()
