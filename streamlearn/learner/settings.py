"""What the learner was told, gathered from the configuration's sections; frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

from streamlearn.config import Configuration, Users
from streamlearn.core.models.architecture import Architecture, LinearArchitecture
from streamlearn.core.models.model import Model
from streamlearn.core.regularizers import Function
from streamlearn.core.users import hierarchy, together
from streamlearn.learner.penalty import Origin, Penalty

# α at the start, where the configuration leaves it open. Too high is cheap for a linear model, too low a disaster. Where
# weights multiply, zero is a saddle: pulled there while labels are few, a network takes long to leave it.
PRECISION, PRECISION_NETWORK = 10.0, 1.0
# Under hierarchy λ is of the users' regularities. The fit that strategies have H⁻¹ of has a prior that λ would start with.
ELSEWHERE = {"hierarchy": PRECISION}
NOBODY = Users()


def unwatched() -> None:
    """Nobody wants to know."""


@final
@dataclass(frozen=True)
class Settings:
    """alive: called between the steps of what may take long, so that it can be told from a standstill; it changes nothing."""

    architecture: Architecture
    standardise: bool
    solver: str
    optimizer: str
    learning_rate: float
    batch_size: int
    steps_per_label: int
    tangent: str
    keep: int
    learn_regularity: bool
    initial_precision: float
    bounds: tuple[float, float]
    fixed_regularity: float
    penalty: Penalty
    compensated: bool
    validation: str
    test_share: float
    folds: int
    seed: int
    users: Users = NOBODY
    alive: Callable[[], None] = field(default=unwatched, compare=False)

    @property
    def network(self) -> bool:
        """Whether the model is one."""
        return self.architecture.kind != "linear"

    @property
    def of_users(self) -> bool:
        """Whether it matters whose an event is."""
        return self.users.kind != "none"

    @property
    def together(self) -> bool:
        """Whether θ₀ and all θ_u are one problem."""
        return self.users.kind in together.SOLVERS

    def bounds_of(self, model: Model) -> tuple[float, float]:
        """Where α stays."""
        least = hierarchy.least(model.size) if self.users.kind == "hierarchy" else 0.0
        return max(self.bounds[0], least), max(self.bounds[1], least)

    @property
    def holdout(self) -> bool:
        """Whether the fit that tunes λ leaves examples out: always the same ones, or fold by fold."""
        return self.validation in ("holdout", "rotating")

    def fold(self, draw: float) -> int:
        """The fold of an example with this draw from [0, 1); 0: never held out."""
        if self.validation == "rotating":
            return 1 + int(draw * self.folds)
        return int(self.validation == "holdout" and draw < self.test_share)


def penalty_of(configuration: Configuration, function: Function | None = None, origin: Origin | None = None) -> Penalty:
    """What the configuration says of the regularizer; a user's function and the origin have to be loaded for it."""
    told = configuration.regularity
    kind = told.regularizer if told.regularizer in ("l2", "l1") else "custom"
    elsewhere = ELSEWHERE.get(configuration.users.kind, 0.0)
    return Penalty(kind, function, told.increasing, told.free, origin, told.intercept_precision, elsewhere)


def from_configuration(
    configuration: Configuration, penalty: Penalty | None = None, architecture: Architecture | None = None
) -> Settings:
    training, regularity = configuration.training, configuration.regularity
    architecture = architecture or LinearArchitecture()
    usual = PRECISION if architecture.kind == "linear" else PRECISION_NETWORK
    return Settings(
        architecture=architecture,
        standardise=configuration.features.standardise and configuration.features.kind != "tokens",
        solver=training.solver,
        optimizer=training.optimizer,
        learning_rate=training.learning_rate,
        batch_size=training.batch_size,
        steps_per_label=training.steps_per_label,
        tangent=training.tangent,
        keep=training.keep,
        learn_regularity=regularity.learn,
        initial_precision=regularity.initial_precision or usual,
        bounds=regularity.precision_bounds,
        fixed_regularity=regularity.fixed,
        penalty=penalty or penalty_of(configuration),
        compensated=regularity.compensated,
        validation=regularity.validation,
        test_share=configuration.validation.test_share,
        folds=configuration.validation.folds,
        seed=configuration.queries.seed,
        users=configuration.users,
    )
