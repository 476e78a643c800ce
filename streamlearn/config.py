"""The configuration: one frozen tree, read once, handed down by section.

A section is a frozen dataclass, a key one of its fields; the default stands beside the name. Order of precedence:
defaults, the TOML file, the environment (`STREAMLEARN__QUERIES__BUDGET=0.05`), `--set queries.budget=0.05`.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Log:
    kind: str = "files"  # files | kafka | memory
    path: str = "streamlearn-data"


@dataclass(frozen=True)
class Kafka:
    bootstrap_servers: str = "localhost:9092"
    client: str = "kafka-python"
    settings: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Topics:
    events: str = "events"
    labels: str = "labels"
    queries: str = "queries"
    predictions: str = ""
    rejected: str = "rejected"


@dataclass(frozen=True)
class Features:
    kind: str = "dense"
    names: tuple[str, ...] = ()
    standardise: bool = True


@dataclass(frozen=True)
class Model:
    kind: str = "linear"
    loss: str = ""  # "": taken from the labels; squared | logistic | softmax
    classes: tuple[str | int | float | bool, ...] = ()


@dataclass(frozen=True)
class Labels:
    wait: int = 10_000
    remember: int = 100_000


@dataclass(frozen=True)
class Training:
    solver: str = "auto"  # auto | newton | sgdf
    learning_rate: float = 0.0  # 0: half the critical step
    batch_size: int = 32
    steps_per_label: int = 8
    keep: int = 0  # newest labeled examples kept; 0: all


@dataclass(frozen=True)
class Regularity:
    learn: bool = True
    initial_precision: float = 10.0
    precision_bounds: tuple[float, float] = (0.01, 1000.0)
    fixed: float = 0.01
    intercept_precision: float = 0.01
    validation: str = "progressive"  # progressive | holdout


@dataclass(frozen=True)
class Validation:
    test_share: float = 0.2


@dataclass(frozen=True)
class Queries:
    strategy: str = "auto"  # auto | uncertainty | leverage | sld | random
    budget: float = 0.1
    outstanding: int = 100
    audit_share: float = 0.2
    expire_s: float = 86_400.0
    seed: int = 0


@dataclass(frozen=True)
class Users:
    kind: str = "none"


@dataclass(frozen=True)
class StoreSection:
    path: str = ""  # "": streamlearn.db beside the embedded log, or NAME.db on Kafka


@dataclass(frozen=True)
class Http:
    host: str = "127.0.0.1"
    port: int = 9464  # 0: any free port; -1: no HTTP


@dataclass(frozen=True)
class Configuration:
    name: str = "streamlearn"  # also consumer group and transactional id
    log: Log = field(default_factory=Log)
    kafka: Kafka = field(default_factory=Kafka)
    topics: Topics = field(default_factory=Topics)
    features: Features = field(default_factory=Features)
    model: Model = field(default_factory=Model)
    labels: Labels = field(default_factory=Labels)
    training: Training = field(default_factory=Training)
    regularity: Regularity = field(default_factory=Regularity)
    validation: Validation = field(default_factory=Validation)
    queries: Queries = field(default_factory=Queries)
    users: Users = field(default_factory=Users)
    store: StoreSection = field(default_factory=StoreSection)
    http: Http = field(default_factory=Http)
