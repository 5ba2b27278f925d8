"""The arrow shape of joint fits, compared with the same sums and systems in full."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from augury.fitting.joint_blocks import Blocks, GroupAmplitudes
from augury.laws import Grouped, law
from augury.runtime.compiling import jit

GROUPS = ("a", "b", "c")


def blocks_of(name: str) -> tuple[Blocks, int]:
    joint = Grouped(law(name), "task", GROUPS)
    blocks = Blocks.of(joint)
    assert blocks is not None
    return blocks, len(joint.parameters)


def random_jacobian(blocks: Blocks, size: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The full (P, n) Jacobian of rows of one group each, its slim form, and the groups."""
    rng = np.random.default_rng(0)
    group = rng.integers(len(GROUPS), size=n)
    full = rng.standard_normal((size, n))
    for g, own in enumerate(blocks.own):
        full[np.ix_(own, group != g)] = 0.0
    return full, blocks.directions(size) @ full, group


@pytest.mark.slow
def test_sums_are_those_of_the_full_jacobian() -> None:
    blocks, size = blocks_of("joint-chinchilla")
    full, slim, group = random_jacobian(blocks, size, 60)
    slope, curvature, bound = np.random.default_rng(1).uniform(0.1, 1.0, (3, 60))
    with jax.enable_x64(True):
        found = jit(blocks.sums)(*map(jnp.asarray, (slim, group, slope, curvature, bound)))
    expected = (full @ slope, (full * curvature) @ full.T, (full * full) @ bound)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.slow
@pytest.mark.parametrize("extra", [0, 1])
def test_a_step_solves_the_whole_system(extra: int) -> None:
    """Also with a parameter of the likelihood, which counts as shared."""
    blocks, size = blocks_of("joint-chinchilla")
    full, _, _ = random_jacobian(blocks, size, 80)
    rng = np.random.default_rng(2)
    wide = np.concatenate([full, rng.standard_normal((extra, 80))])
    h = (wide @ wide.T)[None] + 0.1 * np.eye(size + extra)
    g = rng.standard_normal((1, size + extra))
    with jax.enable_x64(True):
        found = jit(blocks.solve)(jnp.asarray(h), jnp.asarray(g))
    np.testing.assert_allclose(found[0], np.linalg.solve(h[0], g[0]), rtol=1e-9)


def test_amplitudes_of_groups_are_found_in_the_laws_order() -> None:
    joint = Grouped(law("joint-chinchilla"), "task", GROUPS)
    grouped = GroupAmplitudes.of(joint)
    assert grouped is not None
    names = [name for name, p in joint.parameters.items() if p.amplitude]
    assert [[names[j] for j in own] for own in grouped.own] == [
        [f"{kind}[{g}]" for kind in ("E", "A", "B")] for g in GROUPS
    ]
    each = np.arange(len(names), dtype=float).reshape(1, len(GROUPS), -1)
    assert [grouped.flat(each)[0][j] for j in grouped.own.ravel()] == list(range(len(names)))


def test_one_group_and_plain_laws_have_no_blocks() -> None:
    assert Blocks.of(law("chinchilla")) is None
    assert GroupAmplitudes.of(law("chinchilla")) is None
    assert Blocks.of(Grouped(law("joint-chinchilla"), "task", ("a",))) is None
