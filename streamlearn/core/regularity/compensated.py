"""The compensated regularizer's term (18): what the normalizer of the prior adds to the gradient by ρ = log λ.

A Gaussian prior of precision ∝ λ on m parameters has the normalizer −(m/2) log λ. It belongs to the outer objective, the one
that ρ descends, where it adds −m/2 to the summed test loss: less and less with every test example.
"""

from __future__ import annotations


def step(gradient: float, parameters: int, test_weight: float) -> float:
    """The mean gradient by ρ over tests of this weight in all, with the term for m = `parameters`."""
    return gradient - 0.5 * parameters / test_weight
