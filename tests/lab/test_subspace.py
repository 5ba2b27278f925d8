"""Random subspaces: orthonormal, unbiased, and as wide as a problem of known rank needs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from augury.errors import UsageError
from augury.lab import ModelConfig, Recipe, finetune, lab_task, random_subspace
from augury.lab.model import init
from augury.lab.subspace import flat_weights, shaped_weights


def matrix(size: int, dimensions: int, seed: int) -> NDArray[np.float64]:
    """The matrix P, (D, d)."""
    subspace = random_subspace(size, dimensions, np.random.default_rng(seed))
    return np.stack([subspace.lift(row) for row in np.eye(dimensions)], 1)


@pytest.mark.parametrize("dimensions", [1, 7, 40, 100])
def test_its_columns_are_orthonormal(dimensions: int) -> None:
    found = matrix(100, dimensions, 0)
    np.testing.assert_allclose(found.T @ found, np.eye(dimensions), atol=1e-6)
    v = np.random.default_rng(1).standard_normal(100)
    subspace = random_subspace(100, dimensions, np.random.default_rng(0))
    np.testing.assert_allclose(subspace.project(v), found.T @ v, atol=1e-6)


def test_the_projection_is_unbiased() -> None:
    """The mean of P P' over draws is d/D of the identity: no direction is preferred."""
    draws = [matrix(24, 6, seed) for seed in range(4000)]
    mean = np.mean([p @ p.T for p in draws], 0)
    np.testing.assert_allclose(mean, 0.25 * np.eye(24), atol=4 * 0.25 / np.sqrt(4000))


def test_a_quadratic_needs_as_many_dimensions_as_it_has_rank() -> None:
    """Li et al.'s check: D = 1000 weights, 10 linear constraints in random directions."""
    rng = np.random.default_rng(2)
    constraints, goal = rng.standard_normal((10, 1000)), rng.standard_normal(10)

    def left(dimensions: int) -> float:
        inside = constraints @ matrix(1000, dimensions, 3)
        return float(np.sum((goal - inside @ np.linalg.lstsq(inside, goal)[0]) ** 2))

    assert left(10) < 1e-9 * np.sum(goal**2)
    assert left(9) > 1e-3 * np.sum(goal**2)


def test_a_subspace_has_at_most_the_space() -> None:
    for dimensions in (0, 11):
        with pytest.raises(UsageError, match=f"has 1 to 10 dimensions, not {dimensions}"):
            random_subspace(10, dimensions, np.random.default_rng(0))


@pytest.mark.slow
def test_finetuning_stays_in_the_subspace() -> None:
    config = ModelConfig(4)
    start = init(config, 0)
    task = lab_task("sort-digits")
    pairs = task.instances(np.random.default_rng(1), 64)
    held_out = task.instances(np.random.default_rng(2), 40)
    recipe = Recipe(0.1, steps=20, every=10)
    base = flat_weights(start)
    shapes = {n: x.shape for n, x in start.items()}
    np.testing.assert_array_equal(flat_weights(shaped_weights(base, shapes)), base)

    def moved(dimensions: int) -> NDArray[np.floating]:
        subspace = random_subspace(len(base), dimensions, np.random.default_rng(3))
        weights, curve = finetune(config, start, pairs, held_out, recipe,
                                  np.random.default_rng(4), subspace=subspace)  # fmt: skip
        assert min(curve.losses) < curve.losses[0]
        change = flat_weights(weights) - base
        np.testing.assert_allclose(subspace.lift(subspace.project(change)), change, atol=1e-6)
        return change

    few, all_of_them = moved(20), moved(len(base))
    assert np.linalg.matrix_rank(np.stack([few, all_of_them])) == 2
