"""Configuration → running parts: the only file that knows every edge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from streamlearn import loading
from streamlearn.config import Configuration, Topics
from streamlearn.core.models.architecture import Architecture, LinearArchitecture
from streamlearn.edges import networks
from streamlearn.edges.control_file import ControlFile
from streamlearn.edges.files import FilesSink, FilesSource
from streamlearn.edges.formats.candidates import CandidateCodec
from streamlearn.edges.formats.frames import Frames
from streamlearn.edges.formats.json import JsonCodec
from streamlearn.edges.memory import MemoryLog, MemorySink, MemorySource, MemoryStore
from streamlearn.edges.plugins import regularizer, transformer
from streamlearn.edges.sqlite.store import SqliteStore
from streamlearn.edges.sqlite.swap import swapping
from streamlearn.edges.system import SystemClock
from streamlearn.errors import ConfigurationError, StreamlearnError, Unavailable
from streamlearn.learner import columns, settings, state
from streamlearn.learner.penalty import Origin, Penalty, origin_of
from streamlearn.queries.budget import Budget
from streamlearn.service import recipe, restore
from streamlearn.service.daemon import Daemon, Ports
from streamlearn.service.health import Health
from streamlearn.service.metrics import Measurements
from streamlearn.service.patience import Patience
from streamlearn.service.pipeline import Pipeline
from streamlearn.service.ports import EVENTS, Clock, Codec, Remembered, Sink, Source
from streamlearn.service.rebuild import Ports as RebuildPorts
from streamlearn.service.rebuild import Rebuild
from streamlearn.service.scoring_loop import Ports as ScoringPorts
from streamlearn.service.scoring_loop import ScoringLoop
from streamlearn.service.scoring_ports import Rules as ScoringRules
from streamlearn.service.standing import Rules


def store_path(configuration: Configuration) -> Path:
    """Where the store lies: beside the embedded log, or in the working directory under the daemon's name."""
    if configuration.store.path:
        return Path(configuration.store.path)
    if configuration.log.kind == "files":
        return Path(configuration.log.path) / "streamlearn.db"
    return Path(f"{configuration.name}.db")


def pipeline(
    configuration: Configuration,
    recall: Callable[[Sequence[str]], dict[str, Remembered]],
    measurements: Measurements,
    alive: Callable[[], None] = settings.unwatched,
) -> Pipeline:
    """A pipeline as configured, with no data yet. alive: called between steps of what may take long."""
    learner, queries = replace(learner_settings(configuration), alive=alive), configuration.queries
    rules = Rules(
        learner=learner,
        budget=budget(configuration),
        strategy=queries.strategy,
        expire_s=queries.expire_s,
        wait=configuration.labels.wait,
        remember=configuration.labels.remember,
        predictions=bool(topics(configuration).predictions),
        log=_log(configuration),
        backlog=configuration.kafka.backlog if configuration.kafka.overload == "sample" else 0,
        name=configuration.name,
        recipe=recipe.of(configuration),
        models=configuration.models if configuration.topics.models else None,
        count_pending=queries.count_pending,
        rest_below=queries.rest_below,
        shadows=queries.shadows,
        of_candidates=bool(configuration.topics.candidates),
        drift=configuration.drift,
        users=configuration.users,
    )
    features, model = configuration.features, configuration.model
    tokens = features.kind == "tokens"
    known = columns.State(
        fixed=features.names,
        width=networks.width(configuration) if tokens or model.shape else 0,
        vocabulary=model.vocabulary if tokens else 0,
        zeros=bool(features.river),
    )
    start = state.init(learner, known, model.loss, model.classes)
    transforming = transformer(features.river) if features.river else None
    return Pipeline(rules, start, codec(configuration), recall, measurements, transforming)


def codec(configuration: Configuration) -> Codec:
    """The wire format of what a daemon reads and writes."""
    wire = _wire(configuration)
    return CandidateCodec(wire) if configuration.topics.candidates else wire


def _wire(configuration: Configuration) -> Codec:
    kafka, protobuf = configuration.kafka, configuration.kafka.format == "protobuf"
    ids = asdict(kafka.schema_ids)
    if not protobuf:
        return JsonCodec(Frames(ids) if kafka.framing else None)
    from streamlearn.edges.formats.protobuf import MESSAGES, ProtobufCodec  # a heavy import, needed only here

    return ProtobufCodec(Frames(ids, MESSAGES) if kafka.framing else None)


def _log(configuration: Configuration) -> tuple[tuple[str, str], ...]:
    """Which log positions belong to, by the keys that say so."""
    topics, kind = configuration.topics, configuration.log.kind
    group = (("name", configuration.name),) if kind == "kafka" else ()
    read = {role: getattr(topics, role) for role in ("events", "candidates", "labels")}
    return (("log.kind", kind), *group, *((f"topics.{role}", name) for role, name in read.items()))


def topics(configuration: Configuration) -> Topics:
    """Topics as a daemon reads and writes them. Of scorers it reads candidates as events, and they publish predictions."""
    told = configuration.topics
    return replace(told, events=told.candidates, candidates="", predictions="") if told.candidates else told


def learner_settings(configuration: Configuration) -> settings.Settings:
    """What the learner is told, with what has to be loaded for it. Raises ConfigurationError where that cannot be."""
    return settings.from_configuration(configuration, penalty(configuration), architecture(configuration))


def architecture(configuration: Configuration) -> Architecture:
    """The kind of model; torch is imported for networks only."""
    return LinearArchitecture() if configuration.model.kind == "linear" else networks.architecture(configuration)


def penalty(configuration: Configuration) -> Penalty:
    """The regularizer, with what has to be loaded for it: a user's function, or a model of another store."""
    told = configuration.regularity
    function = regularizer(told.regularizer) if ":" in told.regularizer else None
    return settings.penalty_of(configuration, function, _origin(told.origin) if told.origin else None)


def _origin(path: str) -> Origin:
    try:
        store = SqliteStore(Path(path), read_only=True)
    except (OSError, StreamlearnError) as error:
        raise ConfigurationError(f"regularity.origin {path} cannot be opened ({error}); name a store") from error
    known = restore.learned(store.load())
    store.close()
    if known is None or known.published is None:
        raise ConfigurationError(f"regularity.origin {path} holds no model yet; name a store that does")
    return origin_of(known.published, known.columns, known.problem)


def source(configuration: Configuration) -> Source:
    if configuration.log.kind == "kafka":
        from streamlearn.edges.kafka.source import KafkaSource  # a heavy import, needed only here

        return KafkaSource(configuration.name, configuration.kafka, topics(configuration))
    return FilesSource(Path(configuration.log.path), topics(configuration))


def sink(configuration: Configuration) -> Sink:
    if configuration.log.kind == "kafka":
        from streamlearn.edges.kafka.sink import KafkaSink  # a heavy import, needed only here

        return KafkaSink(configuration.name, configuration.kafka, topics(configuration))
    return FilesSink(Path(configuration.log.path), configuration.topics)


def _store(configuration: Configuration) -> SqliteStore:
    folder, path = Path(configuration.log.path), store_path(configuration)
    try:
        if configuration.log.kind == "files" and folder.exists() and not folder.is_dir():
            raise ConfigurationError(f"log.path {folder} is a file; name a folder")
        if path.is_dir():
            raise ConfigurationError(f"store.path {path} is a folder; name a file in it")
        return SqliteStore(path)
    except (OSError, Unavailable) as error:
        raise ConfigurationError(
            f"store.path {path} cannot be opened ({error}); name a file that can be written"
        ) from error


def daemon(
    configuration: Configuration,
    health: Health,
    measurements: Measurements,
    pause: Callable[[float], bool],
    clock: Clock | None = None,
    poll_timeout_s: float = 0.25,
) -> Daemon:
    """The daemon with its edges; the store is opened (and locked) here. The memory log ends with the process."""
    clock = clock or SystemClock()
    learner_settings(configuration)  # what cannot be loaded is refused before there is a file ...
    if configuration.log.kind == "memory":
        log = MemoryLog()
        ports = Ports(MemorySource(log), MemorySink(log, configuration.topics), MemoryStore(), clock)
    else:
        reads, writes = source(configuration), sink(configuration)  # ... and so are wrong settings of Kafka
        store = _store(configuration)
        ports = Ports(reads, writes, store, clock, ControlFile(store_path(configuration)))
    return daemon_on(ports, configuration, health, measurements, pause, poll_timeout_s)


def rebuild(
    configuration: Configuration,
    health: Health,
    measurements: Measurements,
    pause: Callable[[float], bool],
    clock: Clock,
) -> Path | None:
    """A store built from the log, in the place of the one that is there; where that one lies then."""
    if configuration.log.kind == "memory":
        raise ConfigurationError("--rebuild reads a log, and log.kind memory keeps none: set log.kind, or leave it out")
    patience = Patience(clock, health, measurements, pause)
    with swapping(store_path(configuration)) as swap:
        outputs = sink(configuration)
        try:
            inherited = patience("log", outputs.inherit)
            store = SqliteStore(swap.new, replaces=inherited.store_id)
            try:
                parts = pipeline(
                    configuration,
                    lambda ids: patience("store", lambda: store.recall(ids)),
                    measurements,
                    patience.alive,
                )
                ports = RebuildPorts(_history(configuration), source(configuration), outputs, store, clock)
                Rebuild(parts, ports, patience).run(
                    {at: next for at, next in inherited.positions.items() if at[0] == EVENTS},
                    ControlFile(store_path(configuration)).after(0),
                )
            finally:
                store.close()
            return swap.put_in_place()
        finally:
            outputs.close()


def scoring(
    configuration: Configuration,
    health: Health,
    measurements: Measurements,
    pause: Callable[[float], bool],
    clock: Clock,
) -> ScoringLoop:
    """A scorer, which has no store."""
    topics, queries = configuration.topics, configuration.queries
    if configuration.log.kind != "kafka":
        raise ConfigurationError(
            f'scorers share the events of Kafka and log.kind is "{configuration.log.kind}"; use `run`'
        )
    if not topics.candidates:
        raise ConfigurationError(
            'scorers need topics.candidates, which is ""; set, for example, topics.candidates = "candidates"'
        )
    from streamlearn.edges.kafka.group import KafkaGroup, KafkaOutlet  # heavy imports, needed only here
    from streamlearn.edges.kafka.models import KafkaFeed

    name, kafka = configuration.name, configuration.kafka
    ports = ScoringPorts(
        KafkaGroup(name, kafka, topics.events, configuration.scorers.instance),
        KafkaFeed(name, kafka, topics.models),
        KafkaOutlet(name, kafka, topics),
        clock,
    )
    told, spends = configuration.scorers, budget(configuration)
    chances = queries.seed, spends.audit_rate, spends.sample_rate
    rules = ScoringRules(*chances, bool(topics.predictions), told.stale_s, told.when_stale == "stop")
    load = partial(loading.scorer, device=configuration.model.device)
    patience = Patience(clock, health, measurements, pause)
    return ScoringLoop(rules, ports, _wire(configuration), load, health, measurements, patience)


def budget(configuration: Configuration) -> Budget:
    queries = configuration.queries
    return Budget(queries.budget, queries.audit_share, queries.outstanding)


def _history(configuration: Configuration) -> Source:
    """Labels, and in the place of events the queries; without a topic of those, labels again, which say nothing there."""
    topics = configuration.topics
    history = replace(topics, events=topics.queries or topics.labels, candidates="")
    return source(replace(configuration, topics=history))


def daemon_on(
    ports: Ports,
    configuration: Configuration,
    health: Health,
    measurements: Measurements,
    pause: Callable[[float], bool],
    poll_timeout_s: float,
) -> Daemon:
    """The daemon on given edges. pause(seconds) waits and says whether the daemon should stop."""
    patience, store = Patience(ports.clock, health, measurements, pause), ports.store
    parts = pipeline(
        configuration, lambda ids: patience("store", lambda: store.recall(ids)), measurements, patience.alive
    )
    return Daemon(parts, ports, health, measurements, patience, poll_timeout_s)
