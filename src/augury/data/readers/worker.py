"""The process that `workers` starts: file names on standard input, parts on standard output."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from augury.data.readers.reader import find_reader
from augury.data.readers.workers import pack_parts, read_one


def main() -> None:
    """Read the files."""
    reader = find_reader(sys.argv[1])
    files = [Path(p) for p in json.loads(sys.stdin.buffer.read())]
    sys.stdout.buffer.write(pack_parts([read_one(reader, path) for path in files]))


if __name__ == "__main__":
    main()
