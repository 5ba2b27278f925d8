"""What holds for the package as a whole."""

import subprocess
import sys


def test_import_stays_light() -> None:
    heavy = "torch,transformers,ray,vllm,peft"
    code = f"import sys, augury; print([m for m in '{heavy}'.split(',') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
