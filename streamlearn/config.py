"""The configuration: one frozen tree, read once, handed down by section.

A section is a frozen dataclass, a key one of its fields; the default stands beside the name. Order of precedence:
defaults, the TOML file, the environment (`STREAMLEARN__QUERIES__BUDGET=0.05`), `--set queries.budget=0.05`.

This file is the tree and nothing else: `settings.py` reads it, `limits.py` says what each key allows. So a part of the
program can be handed its section, and a test can write one down, without any file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final


@final
@dataclass(frozen=True)
class Log:
    """Where events and labels are read and queries are written. path: the embedded log's folder (`files`)."""

    kind: str = "files"  # files | kafka | memory
    path: str = "streamlearn-data"


@final
@dataclass(frozen=True)
class SchemaIds:
    """Ids in a schema registry, of what is written. 0: none is known."""

    queries: int = 0
    predictions: int = 0
    rejected: int = 0


@final
@dataclass(frozen=True)
class Kafka:
    """How Kafka is reached. settings: passed to the client library as they are; never shown, for secrets are there.

    create_topics: whether missing topics are created, with so many partitions and replicas (0: as the cluster has it).
    lost: what to do where the log does not hold what is to be read next; overload: where events come faster than they can
    be scored; backlog: events that may be unread before any are left out.
    format: of all that is read and written; framing: what is around each value; schema_ids: in what is written.
    """

    bootstrap_servers: str = "localhost:9092"
    client: str = "kafka-python"  # kafka-python | confluent
    settings: dict[str, object] = field(default_factory=dict)
    create_topics: bool = False
    partitions: int = 0
    replication: int = 0
    lost: str = "stop"  # stop | earliest | latest
    overload: str = "wait"  # wait | sample
    backlog: int = 10_000
    format: str = "json"  # json | protobuf
    framing: str = ""  # "" | schema-registry
    schema_ids: SchemaIds = field(default_factory=SchemaIds)


@final
@dataclass(frozen=True)
class Topics:
    """The topics' names (file names without `.jsonl` in the embedded log). "" switches an output off."""

    events: str = "events"
    candidates: str = ""  # of scorers
    labels: str = "labels"
    queries: str = "queries"
    predictions: str = ""
    rejected: str = "rejected"
    models: str = ""


@final
@dataclass(frozen=True)
class Models:
    """When a model that has changed is published on `topics.models`: after so many labels, or so many seconds.

    for_scorers: whether what the strategy looks at is in it, H⁻¹ where it does.
    """

    every_labels: int = 100
    every_s: float = 60.0
    for_scorers: bool = False


@final
@dataclass(frozen=True)
class Scorers:
    """Of `streamlearn score`. stale_s: age of a model from which a scorer is not ready; 0: none; when_stale: what it does then.

    instance: what this one is called, also when it is started again; "": each start is another one.
    """

    stale_s: float = 0.0
    when_stale: str = "go-on"  # go-on | stop
    instance: str = ""


@final
@dataclass(frozen=True)
class Features:
    """What an event's `x` becomes. names: the only columns, in this order; () takes them from the data.

    length: with tokens, how many of an event's are kept; river: a transformer of river that makes them.
    """

    kind: str = "dense"  # dense | tokens
    names: tuple[str, ...] = ()
    length: int = 64
    standardise: bool = True
    river: str = ""  # "" | package.module:transformer


@final
@dataclass(frozen=True)
class Model:
    """What is fitted. classes: the only classes, in this order; () takes them from the labels.

    The others are of networks. hidden: widths of what lies between inputs and outputs, () for the kind's own; shape: of an
    event's x, as (channels, height, width) for cnn; vocabulary: token ids are below it; threads: of torch.
    """

    kind: str = "linear"  # linear | mlp | cnn | embedding-bag | package.module:factory
    loss: str = ""  # "": taken from the labels; squared | logistic | softmax | poisson
    classes: tuple[str | int | float | bool, ...] = ()
    hidden: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()
    vocabulary: int = 10_000
    device: str = "cpu"  # cpu | cuda | auto
    dtype: str = ""  # float32 | float64; "": float64 for linear models, float32 for networks
    threads: int = 1


@final
@dataclass(frozen=True)
class Labels:
    """Labels and events meet by id. wait: events for which a label waits for its own; remember: events kept."""

    wait: int = 10_000
    remember: int = 100_000


@final
@dataclass(frozen=True)
class Training:
    """How labels are learned. optimizer, learning_rate, steps_per_label, batch_size and tangent: of SGDF.

    tangent: when it begins to move; curvature, damping: what a network's stands for the Hessian.
    """

    solver: str = "auto"  # auto | newton | cg | sgdf
    optimizer: str = "sgd"  # sgd | momentum | adagrad | adam
    learning_rate: float = 0.0  # 0: half the critical step
    batch_size: int = 32
    steps_per_label: int = 8
    tangent: str = "at-once"  # at-once | settled
    curvature: str = "gauss-newton"  # gauss-newton | hessian
    damping: float = 0.0
    keep: int = 0  # newest labeled examples kept; 0: all


@final
@dataclass(frozen=True)
class Regularity:
    """What is penalised, and how λ is chosen: learned from test examples, starting at initial_precision (α = λW), or fixed.

    free: features left out; parameters: of a network, by patterns of their names, those that R and θ̇ cover (() for all);
    origin: the store of a model that this one deviates from; increasing: the g of g(R).
    """

    regularizer: str = "l2"  # l2 | l1 | package.module:function
    free: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    origin: str = ""
    increasing: str = ""  # "" | log | square
    compensated: bool = False

    learn: bool = True
    initial_precision: float = 0.0  # 0: 10, and 1 for networks
    precision_bounds: tuple[float, float] = (0.01, 1000.0)
    fixed: float = 0.01
    intercept_precision: float = 0.01
    validation: str = "progressive"  # progressive | holdout | rotating | leave-one-out


@final
@dataclass(frozen=True)
class Validation:
    """With `regularity.validation` = "holdout", test_share: of the labels; with "rotating", folds: how many there are."""

    test_share: float = 0.2
    folds: int = 5


@final
@dataclass(frozen=True)
class Queries:
    """Which events are asked about. budget: share of the stream; outstanding: cap on unanswered queries;
    audit_share: of the budget, for queries chosen by chance; expire_s: seconds until an unanswered query is given up.

    strategy: auto, or one of `queries/names.py`; count_pending: auto | always | never, whether scores take unanswered
    queries for labels; rest_below: what one label has to take off the mean loss for events to be asked about by their
    score, 0: anything; shadows: strategies that score events and do not act.
    """

    strategy: str = "auto"
    count_pending: str = "auto"
    budget: float = 0.1
    outstanding: int = 100
    audit_share: float = 0.2
    expire_s: float = 86_400.0
    rest_below: float = 0.0
    shadows: tuple[str, ...] = ()
    seed: int = 0


@final
@dataclass(frozen=True)
class Drift:
    """What is watched for, and what is done then. audit_share: of the budget, while the response audit is in force;
    for_events: how long an alarm holds."""

    detector: str = "adwin"  # none | adwin | page-hinkley | kswin
    response: str = "none"  # none | audit | forget
    audit_share: float = 0.5
    for_events: int = 2000


@final
@dataclass(frozen=True)
class Users:
    """What the `user` of an event means. penalty: what measures a user's deviation from the model that all share; cache:
    users whose deviations are kept in memory; queries_per_day: that one user is asked at most, 0: any number; directions: most
    that personalities have in common; parameters: of a network, by patterns of their names, those that users deviate in, () for
    the last layer.
    """

    kind: str = "none"  # none | deviation | personality | gamma-normal | hierarchy
    penalty: str = "l2"  # l2 | l1
    cache: int = 10_000
    queries_per_day: int = 0
    directions: int = 3
    parameters: tuple[str, ...] = ()


@final
@dataclass(frozen=True)
class StoreSection:
    """Where the durable state is kept."""

    path: str = ""  # "": streamlearn.db beside the embedded log, or NAME.db on Kafka


@final
@dataclass(frozen=True)
class Http:
    """Where /metrics, /healthz and /readyz are served."""

    host: str = "127.0.0.1"
    port: int = 9464  # 0: any free port; -1: no HTTP


@final
@dataclass(frozen=True)
class Logging:
    """What is said on stderr, of `run` and `score`. format: auto is human on a terminal, and JSON elsewhere."""

    level: str = "info"  # debug | info | warning
    format: str = "auto"  # auto | json | human


@final
@dataclass(frozen=True)
class Configuration:
    """The whole tree. A part is handed the sections that it needs, not this."""

    name: str = "streamlearn"  # also consumer group and transactional id
    log: Log = field(default_factory=Log)
    kafka: Kafka = field(default_factory=Kafka)
    topics: Topics = field(default_factory=Topics)
    models: Models = field(default_factory=Models)
    scorers: Scorers = field(default_factory=Scorers)
    features: Features = field(default_factory=Features)
    model: Model = field(default_factory=Model)
    labels: Labels = field(default_factory=Labels)
    training: Training = field(default_factory=Training)
    regularity: Regularity = field(default_factory=Regularity)
    validation: Validation = field(default_factory=Validation)
    queries: Queries = field(default_factory=Queries)
    drift: Drift = field(default_factory=Drift)
    users: Users = field(default_factory=Users)
    store: StoreSection = field(default_factory=StoreSection)
    http: Http = field(default_factory=Http)
    logging: Logging = field(default_factory=Logging)
