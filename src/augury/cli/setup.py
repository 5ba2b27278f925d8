"""The command that checks the installation: doctor."""

from __future__ import annotations

from typing import Any

from augury.cli.application import SETUP, app
from augury.cli.options import AsJson
from augury.cli.printing import print_json

# What each extra is for, by the module that shows that it is installed.
EXTRAS = {
    "models": ("torch", "transformers", "peft"),
    "gguf": ("gguf",),
    "http": ("httpx2",),
    "vllm": ("vllm",),
    "ray": ("ray",),
    "slurm": ("submitit",),
    "inspect": ("inspect_ai",),
    "lm-eval": ("lm_eval",),
    "wandb": ("wandb",),
    "mixtures": ("lightgbm",),
    "arviz": ("arviz",),
}
CORE = ("jax", "numpyro", "numpy", "scipy", "polars", "altair")


@app.command(rich_help_panel=SETUP)
def doctor(as_json: AsJson = False) -> None:
    """Check the installation: versions, extras, sandbox, cores, GPU."""
    found = examine()
    if as_json:
        print_json(found)
        return
    print(f"augury {found['augury']}, Python {found['python']}, {found['cores']} cores")
    print("  " + ", ".join(f"{name} {version}" for name, version in found["core"].items()))
    for name, missing in found["missing"].items():
        state = f"pip install 'augury[{name}]'" if missing else "installed"
        print(f"  extra {name:8s} {state}")
    print(f"  sandbox        {found['sandbox']}")
    print(f"  devices        {', '.join(found['devices'])}")


def examine() -> dict[str, Any]:
    """Collect what `augury doctor` reports."""
    import os
    import platform
    from importlib.metadata import version
    from importlib.util import find_spec

    import jax

    from augury import __version__

    return {
        "augury": __version__,
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "core": {name: version(name) for name in CORE},
        "missing": {
            extra: [name for name in names if find_spec(name) is None]
            for extra, names in EXTRAS.items()
        },
        "sandbox": _sandbox(),
        "devices": [
            d.platform if d.platform == d.device_kind else f"{d.platform} ({d.device_kind})"
            for d in jax.devices()
        ],
    }


def _sandbox() -> str:
    """Report whether a model's program can run here, by trying it."""
    from augury.errors import AuguryError
    from augury.evaluate.sandbox import Program, Sandbox

    try:
        with Sandbox(workers=1) as sandbox:
            (verdict,) = sandbox.run([Program("doctor", "assert 1 + 1 == 2")])
    except AuguryError as error:
        return str(error)
    return "works" if verdict.passed else f"starts, but a correct program failed: {verdict}"
