"""Answers as models write them: correct ones in each style are programs, bodies stay unchanged."""

from __future__ import annotations

import pytest

from augury.errors import UsageError
from augury.evaluate.extract import extractor
from augury.evaluate.sandbox import humaneval_program

PROMPT = (
    "from typing import List\n\n\ndef double(x: int) -> int:\n    return 2 * x\n\n\n"
    'def doubled(xs: List[int]) -> List[int]:\n    """Every number doubled."""\n'
)
PROBLEM = {"task_id": "T/0", "prompt": PROMPT, "entry_point": "doubled", "test": "def check(c): 0"}
BODY = "    return [double(x) for x in xs]\n"
WHOLE = f"def doubled(xs: List[int]) -> List[int]:\n{BODY}"


def answers(code: str) -> object:
    """The program's output, run here because its code is written above."""
    space: dict[str, object] = {}
    exec(compile(code, "p", "exec"), space)  # no model wrote it
    return space["doubled"]([1, 2])  # type: ignore[operator]


@pytest.mark.parametrize(
    "text",
    [
        BODY,
        WHOLE,
        f"```python\n{WHOLE}```",
        f"Here you are:\n\n```python\n{WHOLE}```\nIt doubles `xs`.\n",
        f"```\n{BODY}```\n",
        "```python\nreturn [double(x) for x in xs]\n```",
        f"```py\n{WHOLE}",
        f"To call it:\n```python\nprint(1)\n```\nThe function:\n```python\n{WHOLE}```\n",
        f"Sure!\n{WHOLE}\nThis function doubles every number.\n",
        f"```python\nimport math\n\n\n{WHOLE}\n\nassert doubled([1]) == [2]\n```",
        f"```python\n{PROMPT}{BODY}```",
        f"1. First:\n   ```python\n{''.join('   ' + x for x in WHOLE.splitlines(True))}   ```\n",
        f"```python\n{WHOLE}\n\nprint(doubled([1, 2",
    ],
)
def test_right_answers_of_each_style_are_programs(text: str) -> None:
    assert answers(humaneval_program(PROBLEM, text).code) == [2, 4]


@pytest.mark.parametrize(
    "text",
    [
        BODY,
        "    return undefined\n",
        "    return [double(x for x in xs]\n",
        "    return xs\n\n\nprint(doubled([1]))\n",
        "    return xs\nwords that are not Python\n",
        "",
    ],
)
def test_a_body_is_judged_as_it_was_written(text: str) -> None:
    assert humaneval_program(PROBLEM, text).code == PROMPT + text


def test_what_is_judged_can_be_extracted() -> None:
    assert extractor("fence")("a\n```\nb\n```\nc") == "b\n"
    assert extractor("fence")("no fence") == "no fence"
    assert extractor("last-line")("a\n b \n\n") == "b"
    assert extractor(r"answer is (\d+)")("the answer is 3, no, the answer is 42") == "42"
    assert extractor(r"\d+")("none") == ""
    with pytest.raises(UsageError, match="fence, last-line or a regular expression"):
        extractor("(")
