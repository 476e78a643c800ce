"""SGDF on small networks: the tangent is the derivative of the run, and where θ has settled the solution of its equation."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from streamlearn.core import conjugate, sgdf
from streamlearn.core.losses import Array
from streamlearn.core.models.network import Network
from streamlearn.core.objective import Data, Objective
from streamlearn.core.preconditioners import Momentum, Plain, Preconditioner
from tests.core.models.nets import KINDS, network, sample, somewhere
from tests.core.problems import HEADS, part, relative, small

heads = pytest.mark.parametrize("head", HEADS)
settling = pytest.mark.parametrize("head", ["squared", "softmax"])
curvatures = pytest.mark.parametrize("curvature", ["gauss-newton", "hessian"])
LAMBDA, BATCH, AWAKE_AT, STEPS, MEMORY = 0.2, 20, 400, 1400, 600


def problem(head: str, curvature: str) -> tuple[Objective, Data]:
    _, data = small(head)
    data = Data(data.X, data.y, np.ones(len(data.y)))
    return Objective(network("mlp", head, curvature=curvature), 12.0), data


def cosine(a: Array, b: Array) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def run(
    head: str, curvature: str, rho: float, rates: list[float], preconditioner: Preconditioner, whole: bool = False
) -> sgdf.State:
    """A whole run with these steps: the same batches whatever the regularity; whole: on all examples each time."""
    objective, data = problem(head, curvature)
    rng, state, total = np.random.default_rng(8), sgdf.init(network("mlp", head).first), float(data.w.sum())
    for rate in rates:
        batch = data if whole else part(data, rng.integers(0, len(data.y), BATCH))
        state, info = sgdf.step(state, objective, batch, total, float(np.exp(rho)), rate, MEMORY, preconditioner)
        assert info.ok
    return state


@heads
@pytest.mark.parametrize("preconditioner", [Plain(), Momentum()], ids=["plain", "momentum"])
def test_under_the_hessian_the_recursion_is_the_finite_difference_of_the_whole_run(
    head: str, preconditioner: Preconditioner
) -> None:
    rho, h, rate = np.log(0.3), 1e-5, 0.003 if head == "poisson" else 0.03
    rates = [rate if isinstance(preconditioner, Plain) else 0.1 * rate] * 120
    state, up, down = (run(head, "hessian", r, rates, preconditioner) for r in (rho, rho + h, rho - h))
    assert relative(state.log_tangent, (up.theta - down.theta) / (2.0 * h)) < 1e-6
    assert relative(state.mean_log_tangent, (up.mean_theta - down.mean_theta) / (2.0 * h)) < 1e-6
    # A control: under the Gauss–Newton curvature θ takes the same path, and the tangent one of its own.
    other = run(head, "gauss-newton", rho, rates, preconditioner)
    assert relative(other.theta, state.theta) < 1e-12
    assert relative(other.log_tangent, state.log_tangent) > 1e-3


@cache
def settled_rates(head: str) -> tuple[float, ...]:
    """Half the critical step, renewed as θ moves; half of that to the end, where the noise is to be small."""
    objective, data = problem(head, "gauss-newton")
    rng, state, rates, total = np.random.default_rng(8), sgdf.init(network("mlp", head).first), [], float(data.w.sum())
    for count in range(STEPS):
        if count % 20 == 0 and count < AWAKE_AT:
            rate = 0.5 * sgdf.critical_rate(objective, data, LAMBDA, BATCH, state.theta)
        rates.append(rate if count < AWAKE_AT else 0.5 * rate)
        batch = part(data, rng.integers(0, len(data.y), BATCH))
        state, _ = sgdf.step(state, objective, batch, total, LAMBDA, rates[-1], MEMORY, asleep=True)
    return tuple(rates)


def solution(objective: Objective, theta: Array, data: Data) -> Array:
    source = -LAMBDA * objective.complexity_gradient(theta)
    tangent, info = conjugate.solve(objective.linearised(theta, data, LAMBDA), source, None, 1e-9)
    assert not info.negative
    return tangent


@settling
@curvatures
def test_where_theta_has_settled_the_published_tangent_solves_its_equation(head: str, curvature: str) -> None:
    objective, data = problem(head, curvature)
    rates, rng, total = settled_rates(head), np.random.default_rng(8), float(data.w.sum())
    state = sgdf.init(network("mlp", head).first)
    for count, rate in enumerate(rates):
        if count == AWAKE_AT:
            state = sgdf.restart_tangent(state)
        batch, asleep = part(data, rng.integers(0, len(data.y), BATCH)), count < AWAKE_AT
        state, info = sgdf.step(state, objective, batch, total, LAMBDA, rate, MEMORY, asleep=asleep)
        assert info.ok
    assert not sgdf.exploded(state, objective)
    expected = solution(objective, state.mean_theta, data)
    assert cosine(state.mean_log_tangent, expected) > 0.99
    assert relative(state.mean_log_tangent, expected) < 0.15
    assert objective.residual(state.mean_theta, state.mean_log_tangent, data, LAMBDA) < 1.0


@settling
def test_the_tangent_of_a_settled_run_is_the_difference_of_two_of_them_and_solves_the_equation(head: str) -> None:
    h, rates = 1e-4, list(settled_rates(head))[:900]
    objective, data = problem(head, "hessian")
    state, up, down = (run(head, "hessian", np.log(LAMBDA) + s, rates, Plain(), True) for s in (0.0, h, -h))
    numeric = (up.theta - down.theta) / (2.0 * h)
    assert cosine(state.log_tangent, numeric) > 0.99
    assert cosine(state.log_tangent, solution(objective, state.theta, data)) > 0.99
    assert relative(state.log_tangent, numeric) < 1e-3


@heads
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("patterns", [(), ("*weight",)], ids=["all", "some"])
def test_what_solves_the_gauss_newton_equation_is_never_taken_for_exploded(
    kind: str, head: str, patterns: tuple[str, ...]
) -> None:
    model, data = network(kind, head, parameters=patterns), sample(kind, head)
    objective = Objective(model, 0.01)
    for seed, size, lam in ((1, 0.5, 1e-2), (2, 2.0, 1e-5), (3, 0.01, 10.0)):
        theta = somewhere(model, seed, size)
        C = objective.complexity_gradient(theta)
        tangent = np.linalg.solve(objective.hessian(theta, data, lam), -lam * C)
        assert not sgdf.exploded(sgdf.init(theta, tangent), objective)
        assert np.linalg.norm(objective.inner(tangent)) <= np.linalg.norm(C) * (1.0 + 1e-6)


def test_steps_far_beyond_the_critical_one_blow_the_tangent_of_a_network_up_which_is_found_out() -> None:
    objective, data = problem("logistic", "gauss-newton")
    first: Array = _model(objective).first
    critical = sgdf.critical_rate(objective, data, LAMBDA, BATCH, first)
    rng, calm = np.random.default_rng(0), sgdf.init(first)
    wild = calm
    for _ in range(60):
        batch = part(data, rng.integers(0, len(data.y), BATCH))
        calm, _ = sgdf.step(calm, objective, batch, 60.0, LAMBDA, 0.5 * critical, MEMORY)
        wild, _ = sgdf.step(wild, objective, batch, 60.0, LAMBDA, 20.0 * critical, MEMORY)
    assert not sgdf.exploded(calm, objective)
    assert sgdf.exploded(wild, objective)


def _model(objective: Objective) -> Network:
    assert isinstance(objective.model, Network)
    return objective.model


@pytest.mark.parametrize("optimizer", [Plain(), Momentum()], ids=["plain", "momentum"])
def test_in_single_precision_a_run_stays_in_it_and_near_the_run_in_double(optimizer: Preconditioner) -> None:
    ends = []
    for dtype in ("float64", "float32"):
        model, data = network("mlp", "logistic", dtype=dtype), problem("logistic", "gauss-newton")[1]
        objective, state = Objective(model, 1.0), sgdf.init(model.start(data.y, data.w))
        for _ in range(50):
            state, _ = sgdf.step(state, objective, data, 60.0, LAMBDA, 0.02, MEMORY, optimizer)
        assert {np.dtype(dtype)} == {state.theta.dtype, state.log_tangent.dtype, state.mean_log_tangent.dtype}
        ends.append(state)
    assert relative(ends[1].theta, ends[0].theta) < 1e-4
    assert relative(ends[1].log_tangent, ends[0].log_tangent) < 1e-4
