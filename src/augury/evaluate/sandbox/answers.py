"""Turn a model's answer into the program to judge: bodies, whole functions, fenced code.

1. If prompt plus text is valid Python, that is the program.
2. Otherwise the code is extracted: the first fenced block that defines the requested function, or
   the first non-empty one, or, without a fence, the text from its first line of code on.
3. If the code defines the function, it is put after the prompt, whose own function gets an empty
   body: the later definition applies, and the prompt's imports and helpers are available. Lines at
   the end that are not Python (words, a truncated block) are dropped.
4. Otherwise the code is a body: it continues the prompt, indented if necessary.

Any other text is left unchanged, and fails as it would have without this step.
"""

from __future__ import annotations

import ast
import re
import textwrap

from augury.evaluate.extract import FENCE

# Most trailing lines to drop while searching for valid Python; longer answers are far too long.
MOST_TRIED = 200
_CODE_BEGINS = re.compile(r"^(?:from\s+\S+\s+import\s|import\s|def\s|class\s|@\w)", re.MULTILINE)


def judged_program(prompt: str, stub: str, text: str, entry_point: str) -> str:
    """Return the program that a text makes of a prompt.

    Args:
        prompt: the prompt as the model read it.
        stub: the prompt as a module, with an empty body for its last function.
        text: the model's answer.
        entry_point: name of the tested function.
    """
    whole = prompt + text
    if is_python(whole):
        return whole
    defines = re.compile(rf"^(?:async\s+)?def\s+{re.escape(entry_point)}\s*\(", re.MULTILINE)
    blocks = [textwrap.dedent(b) for b in FENCE.findall(text) if b.strip()]
    if blocks:
        code = next((b for b in blocks if defines.search(b)), blocks[0])
    else:
        first = _CODE_BEGINS.search(text)
        if first is None or not defines.search(text):
            return whole  # the body is not Python
        code = text[first.start() :]
    code = textwrap.dedent(code)
    if defines.search(code):
        kept = longest_python(code)
        return f"{stub}\n\n{kept}" if defines.search(kept) else whole
    body = textwrap.indent(code, "    ")
    return prompt + body if is_python(prompt + body) else whole


def longest_python(code: str) -> str:
    """Return the code without trailing lines that are not Python; empty if nothing is."""
    lines = code.splitlines(keepends=True)
    for end in range(len(lines), max(len(lines) - MOST_TRIED, 0), -1):
        part = "".join(lines[:end])
        if is_python(part):
            return part
    return ""


def is_python(code: str) -> bool:
    """Return whether the code can be parsed; none of it runs."""
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
