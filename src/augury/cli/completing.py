"""What Tab completes beside options and files: kinds of results and laws by their names."""

from __future__ import annotations


def complete_kind(incomplete: str) -> list[str]:
    """Kinds of `augury read`."""
    from augury.data.readers import kinds
    from augury.data.readers.wandb_runs import KIND

    return [kind for kind in (*kinds(), KIND) if kind.startswith(incomplete)]


def complete_law(incomplete: str) -> list[str]:
    """Laws; of a chain its next part: "chinchilla+log"."""
    from augury.laws import all_laws

    before, plus, last = incomplete.rpartition("+")
    names = [kind().name for kind in all_laws()]
    return [f"{before}{plus}{name}" for name in names if name.startswith(last)]
