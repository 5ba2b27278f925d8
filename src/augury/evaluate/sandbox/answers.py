"""From what a model wrote to the program that is judged: bodies, whole functions, fenced code.

1. If prompt and text are Python as they stand, that is the program.
2. Else code is looked for: the first fenced block that defines the function asked for, the first
   one that is not empty, or, without a fence, the text from its first line of code on.
3. If it defines the function, it stands behind the prompt, whose own function gets an empty body:
   the later definition holds, and the prompt's imports and helpers are there. Lines at its end that
   are not Python (words, a block that was cut off) are left out.
4. Else it is a body: it goes on where the prompt ends, indented if it was not.

What is none of these stays as it was written, and fails as it would have.
"""

from __future__ import annotations

import ast
import re
import textwrap

from augury.evaluate.extract import FENCE

# Lines of an answer that are tried without their last ones: longer ones are cut off by far.
MOST_TRIED = 200
_CODE_BEGINS = re.compile(r"^(?:from\s+\S+\s+import\s|import\s|def\s|class\s|@\w)", re.MULTILINE)


def judged_program(prompt: str, stub: str, text: str, entry_point: str) -> str:
    """Return the program that a text makes of a prompt.

    Args:
        prompt: as the model read it.
        stub: the prompt as a module, its last function with an empty body.
        text: what the model wrote.
        entry_point: the function that is tested.
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
            return whole  # a body that is not Python
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
    """Return whether it can be parsed; nothing of it runs."""
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
