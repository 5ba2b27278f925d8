"""What a command does around its computation: cache compiled code, and show progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def keep_compiled() -> None:
    """Cache compiled fits on disk between calls: compiling is most of a cold fit's time.

    If JAX's own variable sets a cache, that one is used.
    """
    import os
    import warnings

    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    import jax

    # A cache that cannot be written costs time only.
    warnings.filterwarnings("ignore", message="Error .*persistent compilation cache")
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "augury"
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    for name, value in (
        ("jax_compilation_cache_dir", str(home / "jax")),
        ("jax_persistent_cache_min_compile_time_secs", 0.1),
        ("jax_persistent_cache_min_entry_size_bytes", 0),
    ):
        jax.config.update(name, value)  # type: ignore[no-untyped-call]


@contextmanager
def computing(what: str) -> Iterator[None]:
    """Wrap a computation: nothing is printed inside it, and progress is shown.

    Args:
        what: what is done, as in "fitting chinchilla".
    """
    from augury.cli.waiting import show_wait

    keep_compiled()
    with show_wait(what):
        yield
