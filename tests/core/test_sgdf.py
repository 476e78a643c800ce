"""SGDF: the tangent recursion is the derivative of the run, converges to the direct solution, and says when it does not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import eigh

from streamlearn.core import sgdf
from streamlearn.core.losses import Array
from streamlearn.core.objective import Data, Objective
from streamlearn.core.preconditioners import Adam, Momentum, Plain, Preconditioner
from streamlearn.core.regularizers import L1
from tests.core.problems import HEADS, breast_cancer, diabetes, parameters, part, precision_of, relative, small, solved

heads = pytest.mark.parametrize("head", HEADS)
LAMBDA, RATE, MEMORY = 1e-2, 0.05, 50


def rate_of(objective: Objective) -> float:
    """A stable step size; the curvature of a Poisson loss has no bound."""
    return 0.002 if objective.model.loss.name == "poisson" else RATE


def begin(objective: Objective) -> Array:
    """Some θ; near zero where the steps of an unbounded loss would be shortened, which depends on λ."""
    return (0.1 if objective.model.loss.name == "poisson" else 1.0) * parameters(objective)


def run(objective: Objective, data: Data, log_regularity: float, steps: int = 200, memory: int = MEMORY) -> sgdf.State:
    """A whole run: the same batches and rates whatever the regularity."""
    rng, state = np.random.default_rng(8), sgdf.init(begin(objective))
    for _ in range(steps):
        batch = part(data, rng.integers(0, len(data.y), 4))
        state, info = sgdf.step(
            state, objective, batch, float(data.w.sum()), float(np.exp(log_regularity)), rate_of(objective), memory
        )
        assert info.ok
    return state


def passes(
    objective: Objective, data: Data, regularity: float, rate: float, batch: int, memory: int, count: int
) -> sgdf.State:
    """`count` passes over shuffled data from zero."""
    rng, state, n = np.random.default_rng(0), sgdf.init(np.zeros(objective.model.size)), len(data.y)
    for _ in range(count):
        order = rng.permutation(n)
        for start in range(0, n, batch):
            rows = part(data, order[start : start + batch])
            state, _ = sgdf.step(state, objective, rows, float(data.w.sum()), regularity, rate, memory)
    return state


def exact_critical_rate(objective: Objective, data: Data, regularity: float, batch: int, curvature: Array) -> float:
    """2/λ_max(E[s²‖x‖²xxᵀ]/B + (1−1/B)H²; H) for given curvatures s, all columns penalised."""
    X, n = data.X, len(data.y)
    H = (X.T * curvature) @ X / n + regularity * np.eye(X.shape[1])
    M = (X.T * (curvature**2 * (X**2).sum(axis=1))) @ X / n / batch + (1.0 - 1.0 / batch) * H @ H
    return float(2.0 / eigh(M, H, eigvals_only=True)[-1])


@heads
@pytest.mark.parametrize("regularity", [1e-2, 1.0])
def test_the_recursion_is_the_finite_difference_of_the_whole_run(head: str, regularity: float) -> None:
    objective, data = small(head)
    rho, h = np.log(regularity), 1e-5
    state, up, down = (run(objective, data, r) for r in (rho, rho + h, rho - h))
    assert relative(state.log_tangent, (up.theta - down.theta) / (2.0 * h)) < 1e-6
    assert relative(state.mean_log_tangent, (up.mean_theta - down.mean_theta) / (2.0 * h)) < 1e-6


@heads
def test_the_tangent_moves_with_theta_before_its_own_update(head: str) -> None:
    objective, data = small(head)
    batch, total = part(data, np.arange(4)), float(data.w.sum())
    theta, tangent = parameters(objective), parameters(objective, 2)
    state, _ = sgdf.step(sgdf.init(theta, tangent), objective, batch, total, 0.5, RATE, MEMORY)

    def updated(at: Array) -> Array:
        """The tangent after the step, had its Hessian and complexity gradient been taken at `at`."""
        _, _, hvp = objective.model.gradient_hvp(at, tangent, batch.X, batch.y, batch.w)
        precision = precision_of(objective, 0.5, total)
        return tangent - RATE * (hvp + precision * tangent + 0.5 * objective.complexity_gradient(at))

    assert_allclose(state.log_tangent, updated(theta), rtol=1e-13, atol=1e-15)
    assert relative(updated(state.theta), updated(theta)) > 1e-4  # the other order would be seen


@heads
def test_the_whole_run_in_the_other_order_is_not_its_derivative(head: str) -> None:
    # A control of the finite-difference test: it must be able to tell the orders apart.
    objective, data = small(head)
    rng, rho, h = np.random.default_rng(8), np.log(1.0), 1e-5
    rate = rate_of(objective)
    theta, tangent, total = begin(objective), np.zeros(objective.model.size), float(data.w.sum())
    for _ in range(200):
        batch = part(data, rng.integers(0, len(data.y), 4))
        precision = precision_of(objective, 1.0, total)
        theta = theta - rate * (objective.model.gradient(theta, batch.X, batch.y, batch.w)[1] + precision * theta)
        _, _, hvp = objective.model.gradient_hvp(theta, tangent, batch.X, batch.y, batch.w)
        tangent = tangent - rate * (hvp + precision * tangent + objective.complexity_gradient(theta))
    up, down = (run(objective, data, r) for r in (rho + h, rho - h))
    assert_allclose(theta, (up.theta + down.theta) / 2.0, atol=1e-8)
    assert relative(tangent, (up.theta - down.theta) / (2.0 * h)) > 1e-4


def test_after_100_passes_on_breast_cancer_the_tangent_is_the_direct_solution_within_5_percent() -> None:
    objective, data = breast_cancer()
    batch = 4
    rate = 0.5 * sgdf.critical_rate(objective, data, LAMBDA, batch)
    direct = solved(objective, data, LAMBDA)
    state = passes(objective, data, LAMBDA, rate, batch, memory=10 * len(data.y) // batch, count=100)
    tangent = state.mean_log_tangent
    cosine = tangent @ direct.log_tangent / np.linalg.norm(tangent) / np.linalg.norm(direct.log_tangent)
    assert relative(tangent, direct.log_tangent) <= 0.05
    assert cosine >= 0.99
    assert relative(state.mean_theta, direct.theta) <= 0.05
    assert objective.residual(state.mean_theta, tangent, data, LAMBDA) < 0.1


@heads
def test_a_full_batch_converges_to_the_direct_solution(head: str) -> None:
    objective, data = small(head)
    direct, state = solved(objective, data, 0.1), sgdf.init(np.zeros(objective.model.size))
    for _ in range(3000):
        state, _ = sgdf.step(state, objective, data, float(data.w.sum()), 0.1, 2.0 * rate_of(objective) + 0.1, 1)
    assert_allclose(state.theta, direct.theta, atol=1e-8)
    # The anchored shift of a softmax's intercepts relaxes last, and by next to nothing.
    assert_allclose(state.log_tangent, direct.log_tangent, atol=1e-8)


def test_published_is_the_mean_of_all_iterates_until_the_memory_is_full_and_the_newest_weigh_a_share_then() -> None:
    objective, data = small("squared")
    state, iterates, memory = sgdf.init(parameters(objective)), [], 10
    for t in range(11):
        batch = part(data, np.arange(t, t + 4))
        state, _ = sgdf.step(state, objective, batch, float(data.w.sum()), LAMBDA, RATE, memory)
        iterates.append((state.theta, state.log_tangent))
        assert state.steps == t + 1
        if t + 1 == memory:
            full = state
    thetas, tangents = (np.array(part) for part in zip(*iterates, strict=True))
    assert_allclose(full.mean_theta, thetas[:10].mean(axis=0), rtol=1e-12)
    assert_allclose(full.mean_log_tangent, tangents[:10].mean(axis=0), rtol=1e-12, atol=1e-16)
    assert_allclose(state.mean_theta, 0.9 * full.mean_theta + 0.1 * thetas[10], rtol=1e-12)
    assert_allclose(state.mean_log_tangent, 0.9 * full.mean_log_tangent + 0.1 * tangents[10], rtol=1e-12)


@pytest.mark.parametrize("batch", [1, 4, 32])
def test_the_critical_rate_is_a_lower_bound_and_not_an_idle_one(batch: int) -> None:
    for objective, data in (breast_cancer(), diabetes()):
        bound = sgdf.critical_rate(objective, data, LAMBDA, batch)
        steepest = np.full(len(data.y), objective.model.loss.steepest)
        exact = exact_critical_rate(objective, data, LAMBDA, batch, steepest)
        assert 0.3 * exact < bound <= exact


def test_the_critical_rate_at_theta_is_larger_and_still_below_the_exact_one_there() -> None:
    objective, data = breast_cancer()
    theta = solved(objective, data, LAMBDA).theta
    p = objective.model.loss.probabilities(objective.model.outputs(theta, data.X))[:, 1]
    for batch in (1, 4, 32):
        bound = sgdf.critical_rate(objective, data, LAMBDA, batch)
        there = sgdf.critical_rate(objective, data, LAMBDA, batch, theta)
        assert bound < there <= 4.0 * bound * (1.0 + 1e-9)
        assert there < exact_critical_rate(objective, data, LAMBDA, batch, p * (1.0 - p))


def test_a_rare_large_row_lowers_the_critical_rate_as_much_as_it_must() -> None:
    # One row in 400 is alone in its column: the mean of ‖x‖² hides it, the recursion does not.
    X = np.column_stack([np.ones(400), np.zeros(400)])
    X[7, 1] = 10.0
    objective, _ = diabetes()
    data = Data(X, np.zeros(400), np.ones(400))
    exact = exact_critical_rate(objective, data, 1e-6, 1, np.ones(400))
    assert 0.9 * exact < sgdf.critical_rate(objective, data, 1e-6, 1) <= exact


def test_half_the_critical_rate_stays_bounded_and_a_multiple_explodes_and_is_reported() -> None:
    objective, data = diabetes()
    critical = exact_critical_rate(objective, data, LAMBDA, 4, np.ones(len(data.y)))
    calm = passes(objective, data, LAMBDA, 0.5 * critical, 4, MEMORY, count=5)
    assert objective.residual(calm.mean_theta, calm.mean_log_tangent, data, LAMBDA) < 10.0
    wild = passes(objective, data, LAMBDA, 3.0 * critical, 4, MEMORY, count=5)
    assert not objective.residual(wild.mean_theta, wild.mean_log_tangent, data, LAMBDA) < 10.0
    wild = passes(objective, data, LAMBDA, 1e3 * critical, 4, MEMORY, count=5)
    after, info = sgdf.step(wild, objective, part(data, np.arange(4)), 442.0, LAMBDA, 1e3 * critical, MEMORY)
    assert not info.ok
    assert after is wild
    assert np.isfinite(after.theta).all()
    assert np.isfinite(after.log_tangent).all()


def test_theta_of_a_bounded_gradient_looks_fine_while_the_tangent_has_exploded() -> None:
    objective, data = breast_cancer()
    state = passes(objective, data, LAMBDA, 1.2, 1, MEMORY, count=3)
    direct = solved(objective, data, LAMBDA)
    assert np.linalg.norm(state.theta) < 20.0 * np.linalg.norm(direct.theta)
    assert np.linalg.norm(state.log_tangent) > 1e3 * np.linalg.norm(direct.log_tangent)
    assert objective.residual(state.theta, state.log_tangent, data, LAMBDA) > 10.0
    again = sgdf.restart_tangent(state)
    assert (again.theta == state.theta).all()
    assert (again.log_tangent == 0.0).all()
    assert (again.mean_log_tangent == 0.0).all()


@heads
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["X", "y", "w"])
def test_a_batch_that_is_not_finite_is_reported_and_not_learned(head: str, bad: float, where: str) -> None:
    objective, data = small(head)
    batch = {name: getattr(data, name)[:4].copy() for name in ("X", "y", "w")}
    batch[where][(2, 3) if where == "X" else 2] = bad
    before = sgdf.init(parameters(objective), parameters(objective, 2))
    after, info = sgdf.step(before, objective, Data(**batch), 90.0, LAMBDA, RATE, MEMORY)
    assert not info.ok
    assert after is before


@heads
def test_a_value_too_large_to_square_never_leaves_a_state_that_is_not_finite(head: str) -> None:
    objective, data = small(head)
    X = data.X.copy()
    X[5, 2] = 1e200
    state = sgdf.init(parameters(objective), parameters(objective, 2))
    for _ in range(3):
        state, _ = sgdf.step(state, objective, Data(X, data.y, data.w), 90.0, LAMBDA, RATE, MEMORY)
        assert np.isfinite(state.theta).all()
        assert np.isfinite(state.log_tangent).all()


@heads
def test_a_step_leaves_its_input_unchanged(head: str) -> None:
    objective, data = small(head)
    state = run(objective, data, np.log(LAMBDA), 3)
    arrays = (state.theta, state.log_tangent, state.mean_theta, state.mean_log_tangent, data.X, data.y, data.w)
    copies = [array.copy() for array in arrays]
    sgdf.step(state, objective, data, float(data.w.sum()), LAMBDA, RATE, MEMORY)
    sgdf.restart_tangent(state)
    sgdf.critical_rate(objective, data, LAMBDA, 4, state.theta)
    for array, copy in zip(arrays, copies, strict=True):
        assert (array == copy).all()


def test_a_step_of_an_unbounded_loss_moves_no_output_of_its_batch_by_more_than_one() -> None:
    objective, data = small("poisson")
    theta, batch = parameters(objective), part(data, np.arange(6))
    far = sgdf.init(theta + 3.0)
    state, info = sgdf.step(far, objective, batch, float(data.w.sum()), LAMBDA, 10.0, MEMORY)
    assert info.ok
    moved = batch.X @ (state.theta - far.theta)
    assert_allclose(np.abs(moved).max(), 1.0)
    # Of a bounded loss the step is what was asked for.
    objective, data = small("logistic")
    state, _ = sgdf.step(sgdf.init(theta), objective, part(data, np.arange(6)), 90.0, LAMBDA, 10.0, MEMORY)
    assert np.abs(part(data, np.arange(6)).X @ (state.theta - theta)).max() > 1.0


@heads
@pytest.mark.parametrize("preconditioner", [Plain(), Momentum(), Adam()], ids=["plain", "momentum", "adam"])
def test_asleep_theta_moves_as_awake_and_the_tangent_waits_at_zero(head: str, preconditioner: Preconditioner) -> None:
    objective, data = small(head)
    rng, rate = np.random.default_rng(8), 0.1 * rate_of(objective)
    awake = asleep = sgdf.init(begin(objective))
    for _ in range(50):
        given = (objective, part(data, rng.integers(0, len(data.y), 4)), 90.0, LAMBDA, rate, MEMORY, preconditioner)
        awake, of_awake = sgdf.step(awake, *given)
        asleep, of_asleep = sgdf.step(asleep, *given, asleep=True)
        assert of_asleep.ok
        assert of_asleep.loss == pytest.approx(of_awake.loss)
    assert_allclose(asleep.theta, awake.theta, rtol=1e-11, atol=1e-13)
    assert_allclose(asleep.mean_theta, awake.mean_theta, rtol=1e-11, atol=1e-13)
    assert (awake.log_tangent != 0.0).any()
    assert (asleep.log_tangent == 0.0).all()
    assert (asleep.mean_log_tangent == 0.0).all()
    assert 0.0 == asleep.travel < awake.travel
    assert 50 == asleep.steps == awake.steps


def test_asleep_on_kinks_theta_moves_as_awake_too() -> None:
    objective, data = small("logistic")
    kinked = Objective(objective.model, 0.01, L1())
    awake = asleep = sgdf.init(parameters(objective))
    for _ in range(50):
        given = (kinked, part(data, np.arange(8)), 90.0, 0.1, RATE, MEMORY)
        (awake, _), (asleep, _) = sgdf.step(awake, *given), sgdf.step(asleep, *given, asleep=True)
    assert_allclose(asleep.theta, awake.theta, rtol=1e-11, atol=1e-13)
    assert (awake.log_tangent != 0.0).any()
    assert (asleep.log_tangent == 0.0).all()
    assert 0.0 == asleep.travel


def test_a_tangent_that_starts_when_theta_has_settled_is_the_one_that_was_there_all_along() -> None:
    objective, data = small("logistic")
    direct, state = solved(objective, data, 0.1), sgdf.init(np.zeros(objective.model.size))
    for count in range(4000):
        if count == 2000:
            state = sgdf.restart_tangent(state)
        state, _ = sgdf.step(state, objective, data, float(data.w.sum()), 0.1, 0.2, 1, asleep=count < 2000)
    assert_allclose(state.log_tangent, direct.log_tangent, atol=1e-8)


@heads
@pytest.mark.parametrize("regularity", [1e-6, 1e-2, 1.0, 1e3])
def test_what_solves_the_equation_is_never_taken_for_exploded_at_any_theta(head: str, regularity: float) -> None:
    objective, data = small(head)
    for seed, size in ((1, 1.0), (2, 1e-3), (3, 10.0)):
        theta = size * parameters(objective, seed)
        source = -regularity * objective.complexity_gradient(theta)
        tangent = np.linalg.solve(objective.hessian(theta, data, regularity), source)
        assert not sgdf.exploded(sgdf.init(theta, tangent), objective)
        longest = np.linalg.norm(objective.complexity_gradient(theta))
        assert np.linalg.norm(objective.inner(tangent)) <= longest * (1.0 + 1e-6)  # so the bound has room of ten times


def test_a_tangent_that_has_blown_up_is_found_out_under_l2_and_not_judged_under_l1() -> None:
    objective, data = breast_cancer()
    calm = passes(objective, data, LAMBDA, 0.5 * sgdf.critical_rate(objective, data, LAMBDA, 1), 1, MEMORY, count=3)
    wild = passes(objective, data, LAMBDA, 1.2, 1, MEMORY, count=3)
    assert not sgdf.exploded(calm, objective)
    assert sgdf.exploded(wild, objective)
    assert not sgdf.exploded(sgdf.restart_tangent(wild), objective)
    assert not sgdf.exploded(wild, Objective(objective.model, 0.0, L1()))
    # What R does not see may be as long as it has to be.
    far = np.zeros(objective.model.size)
    far[0] = 1e9
    assert not sgdf.exploded(sgdf.init(calm.theta, far), objective)
