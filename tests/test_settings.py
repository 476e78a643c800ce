"""Every key can be set three ways, and whatever cannot be meant is refused in one line that says what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from streamlearn import limits, settings
from streamlearn.config import Configuration
from streamlearn.errors import ConfigurationError
from streamlearn.queries.choose import STRATEGIES

# A value of every key that is not its default: as in TOML, and what it is read as.
OTHER: dict[str, tuple[str, Any]] = {
    "name": ('"churn"', "churn"),
    "log.kind": ('"memory"', "memory"),
    "log.path": ('"elsewhere"', "elsewhere"),
    "kafka.bootstrap_servers": ('"a:9092, b:9093"', "a:9092, b:9093"),
    "kafka.client": ('"confluent"', "confluent"),
    "kafka.lost": ('"earliest"', "earliest"),
    "kafka.overload": ('"sample"', "sample"),
    "kafka.backlog": ("500", 500),
    "kafka.settings": ('{ security_protocol = "SSL", request_timeout_ms = 5000 }', None),
    "kafka.create_topics": ("true", True),
    "kafka.partitions": ("3", 3),
    "kafka.replication": ("2", 2),
    "kafka.format": ('"protobuf"', "protobuf"),
    "kafka.framing": ('"schema-registry"', "schema-registry"),
    "kafka.schema_ids.queries": ("7", 7),
    "kafka.schema_ids.predictions": ("8", 8),
    "kafka.schema_ids.rejected": ("9", 9),
    "topics.events": ('"e"', "e"),
    "topics.candidates": ('"c"', "c"),
    "topics.labels": ('"l"', "l"),
    "topics.queries": ('""', ""),
    "topics.predictions": ('"p"', "p"),
    "topics.rejected": ('"r"', "r"),
    "topics.models": ('"m"', "m"),
    "models.every_labels": ("7", 7),
    "models.every_s": ("2.5", 2.5),
    "models.for_scorers": ("true", True),
    "scorers.stale_s": ("300", 300.0),
    "scorers.when_stale": ('"stop"', "stop"),
    "scorers.instance": ('"pod-3"', "pod-3"),
    "features.kind": ('"tokens"', "tokens"),
    "features.names": ('["a", "b"]', ("a", "b")),
    "features.length": ("16", 16),
    "features.standardise": ("false", False),
    "features.river": ('"mine.features:scaler"', "mine.features:scaler"),
    "model.kind": ('"mlp"', "mlp"),
    "model.loss": ('"softmax"', "softmax"),
    "model.classes": ('["x", 2, true]', ("x", 2, True)),
    "model.hidden": ("[16, 8]", (16, 8)),
    "model.shape": ("[1, 8, 8]", (1, 8, 8)),
    "model.vocabulary": ("500", 500),
    "model.device": ('"auto"', "auto"),
    "model.dtype": ('"float64"', "float64"),
    "model.threads": ("2", 2),
    "labels.wait": ("0", 0),
    "labels.remember": ("7", 7),
    "training.solver": ('"sgdf"', "sgdf"),
    "training.optimizer": ('"adam"', "adam"),
    "training.learning_rate": ("0.5", 0.5),
    "training.batch_size": ("1", 1),
    "training.steps_per_label": ("3", 3),
    "training.tangent": ('"settled"', "settled"),
    "training.curvature": ('"hessian"', "hessian"),
    "training.damping": ("0.1", 0.1),
    "training.keep": ("100", 100),
    "regularity.learn": ("false", False),
    "regularity.initial_precision": ("2", 2.0),
    "regularity.precision_bounds": ("[1, 5.5]", (1.0, 5.5)),
    "regularity.fixed": ("0.25", 0.25),
    "regularity.regularizer": ('"mine.shape:bumpy"', "mine.shape:bumpy"),
    "regularity.free": ('["a", "b"]', ("a", "b")),
    "regularity.parameters": ('["2.*", "0.weight"]', ("2.*", "0.weight")),
    "regularity.origin": ('"base.db"', "base.db"),
    "regularity.increasing": ('"log"', "log"),
    "regularity.compensated": ("true", True),
    "regularity.intercept_precision": ("0", 0.0),
    "regularity.validation": ('"holdout"', "holdout"),
    "validation.test_share": ("0.5", 0.5),
    "validation.folds": ("3", 3),
    "queries.strategy": ('"leverage"', "leverage"),
    "queries.count_pending": ('"never"', "never"),
    "queries.budget": ("1", 1.0),
    "queries.outstanding": ("1", 1),
    "queries.audit_share": ("0", 0.0),
    "queries.expire_s": ("60", 60.0),
    "queries.rest_below": ("1e-4", 1e-4),
    "queries.shadows": ('["leverage"]', ("leverage",)),
    "queries.seed": ("12", 12),
    "drift.detector": ('"kswin"', "kswin"),
    "drift.response": ('"forget"', "forget"),
    "drift.audit_share": ("0.75", 0.75),
    "drift.for_events": ("500", 500),
    "users.kind": ('"deviation"', "deviation"),
    "users.penalty": ('"l1"', "l1"),
    "users.cache": ("100", 100),
    "users.queries_per_day": ("3", 3),
    "users.directions": ("5", 5),
    "users.parameters": ('["2.*", "0.bias"]', ("2.*", "0.bias")),
    "store.path": ('"s.db"', "s.db"),
    "http.host": ('"0.0.0.0"', "0.0.0.0"),
    "http.port": ("-1", -1),
    "logging.level": ('"debug"', "debug"),
    "logging.format": ('"human"', "human"),
}
OTHER["kafka.settings"] = (OTHER["kafka.settings"][0], {"security_protocol": "SSL", "request_timeout_ms": 5000})
# What else has to be said for a key to mean anything.
MLP, TOKENS = ("model.kind=mlp",), ("model.kind=embedding-bag", "features.kind=tokens")
OF_NETWORKS = {
    "features.kind": TOKENS[:1],
    "features.length": TOKENS,
    "model.vocabulary": TOKENS,
    **dict.fromkeys(("model.hidden", "model.shape", "model.device", "model.dtype", "model.threads"), MLP),
    **dict.fromkeys(("training.curvature", "training.damping", "regularity.parameters"), MLP),
}
KAFKA, FRAMED = "log.kind=kafka", "kafka.framing=schema-registry"
SOME_ID, ANOTHER_ID = "kafka.schema_ids.queries=1", "kafka.schema_ids.rejected=2"
SCORED = (KAFKA, "topics.models=models", "models.for_scorers=true", "topics.candidates=c")
GAMMA_NORMAL = ("users.kind=gamma-normal", "model.loss=squared")
BESIDE = OF_NETWORKS | {
    **dict.fromkeys(("kafka.partitions", "kafka.replication"), ("kafka.create_topics=true",)),
    "models.for_scorers": ("topics.models=models",),
    "topics.candidates": SCORED[:-1],
    "scorers.when_stale": ("scorers.stale_s=300",),
    "drift.audit_share": ("drift.response=audit",),
    **dict.fromkeys(("users.penalty", "users.cache", "users.queries_per_day"), ("users.kind=deviation",)),
    "users.directions": ("users.kind=personality",),
    "users.parameters": ("users.kind=deviation", *MLP),
    "kafka.overload": (KAFKA,),
    "kafka.backlog": (KAFKA, "kafka.overload=sample"),
    "kafka.format": (KAFKA,),
    "kafka.framing": (KAFKA, SOME_ID, ANOTHER_ID),
    "kafka.schema_ids.queries": (KAFKA, FRAMED, ANOTHER_ID),
    "kafka.schema_ids.predictions": (KAFKA, FRAMED, SOME_ID, ANOTHER_ID),
    "kafka.schema_ids.rejected": (KAFKA, FRAMED, SOME_ID),
}


def get(configuration: Configuration, key: str) -> Any:
    value: Any = configuration
    for name in key.split("."):
        value = getattr(value, name)
    return value


def toml(path: Path, key: str, value: str) -> Path:
    section, _, name = key.rpartition(".")
    path.write_text(f"[{section}]\n{name} = {value}\n" if section else f"{name} = {value}\n")
    return path


def refusal(
    path: Path | None = None, environment: dict[str, str] | None = None, overrides: tuple[str, ...] = ()
) -> str:
    with pytest.raises(ConfigurationError) as caught:
        settings.read(path, environment or {}, overrides)
    text = str(caught.value)
    assert text.isprintable(), "one line"
    assert caught.value.exit_code == 2
    return text


def test_every_key_has_a_limit_and_a_test() -> None:
    assert set(settings.TYPES) == set(limits.LIMITS) == set(OTHER)


def test_nothing_given_is_the_defaults() -> None:
    assert settings.read(None, {"PATH": "/bin", "STREAMLEARN_TEST_KAFKA": "x:1"}, ()) == Configuration()


@pytest.mark.parametrize("key", OTHER)
def test_every_default_is_within_its_limit(key: str) -> None:
    limits.check(key, settings.DEFAULTS[key], settings.DEFAULTS[key], "default")


@pytest.mark.parametrize("key", OTHER)
def test_every_key_can_be_set_three_ways(key: str, tmp_path: Path) -> None:
    (text, value), beside = OTHER[key], BESIDE.get(key, ())
    bare = json.loads(text) if text.startswith('"') else text
    variable = "STREAMLEARN__" + key.upper().replace(".", "__")

    from_file = settings.read(toml(tmp_path / "c.toml", key, text), {}, beside)
    from_environment = settings.read(None, {variable: bare}, beside)
    from_override = settings.read(None, {}, (*beside, f"{key}={bare}"))

    assert value == get(from_file, key)
    assert type(value) is type(get(from_file, key))
    assert from_file == from_environment == from_override


def test_the_override_beats_the_environment_and_that_the_file(tmp_path: Path) -> None:
    path = toml(tmp_path / "c.toml", "queries.budget", "0.1")
    environment = {"STREAMLEARN__QUERIES__BUDGET": "0.2"}
    assert settings.read(path, {}, ()).queries.budget == 0.1
    assert settings.read(path, environment, ()).queries.budget == 0.2
    assert settings.read(path, environment, ("queries.budget=0.3", "queries.budget=0.4")).queries.budget == 0.4


def test_one_client_setting_is_added_to_those_of_the_file(tmp_path: Path) -> None:
    path = toml(tmp_path / "c.toml", "kafka.settings", '{ client_id = "a" }')
    environment = {"STREAMLEARN__KAFKA__SETTINGS__SASL_PLAIN_PASSWORD": "12"}
    read = settings.read(path, environment, ("kafka.settings.retry_backoff_ms=20",))
    assert read.kafka.settings == {"client_id": "a", "sasl_plain_password": "12", "retry_backoff_ms": 20}


def test_lists_may_be_written_with_commas() -> None:
    read = settings.read(None, {"STREAMLEARN__MODEL__CLASSES": "1, no, true"}, ("features.names=a, 1",))
    assert read.model.classes == (1, "no", True)
    assert read.features.names == ("a", "1")


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(b'\xef\xbb\xbfname = "churn"\r\n[http]\r\nport = 1\r\n')
    read = settings.read(path, {}, ())
    assert (read.name, read.http.port) == ("churn", 1)


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("queries.buget", "queries.budget"),
        ("querys.budget", "queries.budget"),
        ("budget", "queries.budget"),
        ("topic.events", "topics.events"),
        ("model.standardise", "features.standardise"),
        ("training.batchsize", "training.batch_size"),
        ("nmae", "name"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_one(given: str, nearest: str, tmp_path: Path) -> None:
    expected = f"{given} is not a key; did you mean {nearest}?"
    variable = "STREAMLEARN__" + given.upper().replace(".", "__")
    assert f"{variable}: {expected}" == refusal(environment={variable: "1"})
    assert f"--set: {expected}" == refusal(overrides=(f"{given}=1",))
    path = toml(tmp_path / "c.toml", given, "1")
    assert f"{path}: {expected}" == refusal(path)


def test_an_unknown_section_is_refused_even_when_empty(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text("[querys]\n")
    assert f"{path}: querys is not a key; did you mean " in refusal(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", "3"),
        ("name", '"a b"'),
        ("name", '"../up"'),
        ("name", '""'),
        ("log.kind", '"kafak"'),
        ("log.path", '""'),
        ("kafka.bootstrap_servers", '"localhost"'),
        ("kafka.client", '"librdkafka"'),
        ("kafka.settings", "3"),
        ("kafka.format", '"avro"'),
        ("kafka.framing", '"confluent"'),
        ("kafka.schema_ids.queries", "-1"),
        ("kafka.schema_ids.rejected", "2147483648"),
        ("topics.events", '""'),
        ("topics.queries", '"a/b"'),
        ("features.names", '["a", "a"]'),
        ("features.names", "[1]"),
        ("features.names", '"a"'),
        ("features.standardise", '"yes"'),
        ("features.standardise", "1"),
        ("features.kind", '"images"'),
        ("features.length", "0"),
        ("features.length", "4097"),
        ("model.kind", '"resnet"'),
        ("model.kind", '"mine:"'),
        ("model.kind", '"my package:factory"'),
        ("model.hidden", "[0]"),
        ("model.hidden", "[8, 65537]"),
        ("model.hidden", "8"),
        ("model.hidden", "[8.5]"),
        ("model.shape", "[1, 0]"),
        ("model.shape", "[64, 65]"),
        ("model.vocabulary", "0"),
        ("model.device", '"mps"'),
        ("model.dtype", '"float16"'),
        ("model.threads", "0"),
        ("model.loss", '"hinge"'),
        ("model.classes", '["a"]'),
        ("model.classes", '["a", "b", "a"]'),
        ("model.classes", "[1, 1.0]"),
        ("model.classes", "[0.5, 1]"),
        ("model.classes", "[[1], [2]]"),
        ("labels.wait", "-1"),
        ("labels.remember", "1.5"),
        ("training.solver", '"lbfgs"'),
        ("training.learning_rate", "-0.1"),
        ("training.batch_size", "0"),
        ("training.batch_size", "true"),
        ("training.steps_per_label", "0"),
        ("training.optimizer", '"lbfgs"'),
        ("training.tangent", '"never"'),
        ("training.curvature", '"fisher"'),
        ("training.damping", "-0.1"),
        ("training.damping", "inf"),
        ("training.keep", "-1"),
        ("regularity.initial_precision", "-1"),
        ("regularity.initial_precision", "inf"),
        ("regularity.precision_bounds", "[5, 1]"),
        ("regularity.precision_bounds", "[0, 1]"),
        ("regularity.precision_bounds", "[1]"),
        ("regularity.precision_bounds", "[1, nan]"),
        ("regularity.fixed", "0"),
        ("regularity.intercept_precision", "-1"),
        ("regularity.regularizer", '"lasso"'),
        ("regularity.regularizer", '"mine:"'),
        ("regularity.free", '["a", "a"]'),
        ("regularity.parameters", '["a", "a"]'),
        ("regularity.parameters", '[""]'),
        ("users.parameters", '["a", "a"]'),
        ("users.parameters", '[""]'),
        ("regularity.increasing", '"sqrt"'),
        ("regularity.compensated", "1"),
        ("regularity.validation", '"loo"'),
        ("validation.test_share", "0"),
        ("validation.test_share", "1"),
        ("queries.strategy", '"curiosity"'),
        ("queries.strategy", '"sti-labeled"'),
        ("queries.budget", "0"),
        ("queries.budget", "1.01"),
        ("queries.budget", "nan"),
        ("queries.budget", '"lots"'),
        ("queries.budget", "1" + "0" * 400),
        ("queries.outstanding", "0"),
        ("queries.audit_share", "1.5"),
        ("queries.expire_s", "0"),
        ("queries.seed", "-1"),
        ("drift.detector", '"ddm"'),
        ("drift.response", '"retrain"'),
        ("drift.audit_share", "1.5"),
        ("drift.for_events", "0"),
        ("users.kind", '"several"'),
        ("users.penalty", '"l3"'),
        ("users.cache", "0"),
        ("users.queries_per_day", "-1"),
        ("users.directions", "0"),
        ("http.host", '""'),
        ("http.port", "65536"),
        ("http.port", "-2"),
        ("http.port", "1979-05-27"),
        ("logging.level", '"trace"'),
        ("logging.format", '"text"'),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_with_what_is(key: str, value: str, tmp_path: Path) -> None:
    path = toml(tmp_path / "c.toml", key, value)
    text = refusal(path)
    assert text.startswith(f"{path}: {key} = ")
    assert f"is not {limits.LIMITS[key].allowed}; " in text
    assert text.endswith((f"{key} = {limits.show(key, settings.DEFAULTS[key])}", f"write a section [{key}]"))


def test_a_refusal_reads_like_this() -> None:
    assert refusal(overrides=("queries.budget=2",)) == (
        "--set: queries.budget = 2.0 is not a number above 0 and at most 1; set, for example, queries.budget = 0.1"
    )


def test_a_word_that_is_not_built_yet_is_told_apart_from_a_mistake() -> None:
    text = refusal(overrides=("features.kind=sparse",))
    assert text.startswith('--set: features.kind = "sparse" is not available in this version; use features.kind = "')


@pytest.mark.parametrize(
    ("overrides", "beginning"),
    [
        (("queries.strategy=uncertainty", "model.loss=squared"), 'queries.strategy = "uncertainty" needs classes'),
        (("queries.strategy=entropy", "model.loss=poisson"), 'queries.strategy = "entropy" needs classes'),
        (("queries.strategy=flip", "model.loss=squared"), 'queries.strategy = "flip" needs classes'),
        (("model.classes=a,b", "model.loss=squared"), "model.classes is given and"),
        (("model.classes=a,b,c", "model.loss=logistic"), 'model.loss = "logistic" has 2 classes'),
        (("topics.labels=events",), 'topics.labels and topics.events are both "events"'),
        (
            ("training.solver=cg", "regularity.regularizer=l1"),
            'training.solver = "cg" needs a smooth regularizer and "l1" is none; set training.solver = "auto"',
        ),
        (
            ("training.optimizer=adam", "regularity.regularizer=l1"),
            'training.optimizer = "adam" needs a smooth regularizer and "l1" is none; set training.optimizer = "sgd"',
        ),
        (
            ("features.river=mine:f", "model.kind=embedding-bag", "features.kind=tokens"),
            'features.river = "mine:f" makes maps of names, and features.kind = "tokens" has arrays; remove one',
        ),
        (
            ("features.river=mine:f", "model.kind=mlp", "model.shape=4"),
            'features.river = "mine:f" makes maps of names, and model.shape is of arrays; remove one of the two',
        ),
        (
            ("models.for_scorers=true",),
            'models.for_scorers = true does nothing with topics.models = ""; set topics.models = "models", or remove it',
        ),
        (
            ("scorers.when_stale=stop",),
            'scorers.when_stale = "stop" does nothing with scorers.stale_s = 0; set, for example, scorers.stale_s = 300',
        ),
        (
            ("scorers.stale_s=60",),
            "scorers.stale_s = 60 is no more than the time between two models, models.every_s = 60; set it to several",
        ),
        (
            ("topics.candidates=c",),
            'topics.candidates = "c" is of scorers, which share the events of Kafka; set log.kind',
        ),
        (
            (KAFKA, "topics.candidates=c"),
            'topics.candidates = "c" needs scorers, and those a model; set models.for_scorers',
        ),
        (
            (*SCORED, "kafka.overload=sample"),
            'topics.candidates = "c" has in it how many events there were, and kafka.overl',
        ),
        (
            (*SCORED, 'queries.shadows=["sld"]'),
            'topics.candidates = "c" are the events of one strategy, and queries.shadows',
        ),
        (
            ("features.river=mine:f", "topics.models=models"),
            'features.river = "mine:f" is no part of a model that is published, which means nothing without; '
            'set topics.models = ""',
        ),
        (
            ("features.river=mine",),
            '--set: features.river = "mine" is not "package.module:transformer", or "" for none',
        ),
        (("kafka.format=protobuf",), 'kafka.format = "protobuf" is of Kafka and log.kind is "files"'),
        (("kafka.framing=schema-registry",), 'kafka.framing = "schema-registry" is of Kafka and log.kind is "files"'),
        ((KAFKA, SOME_ID), 'kafka.schema_ids.queries = 1 is given and kafka.framing = "" writes none; remove it'),
        (
            (KAFKA, FRAMED, SOME_ID),
            'kafka.framing = "schema-registry" needs the id of the schema of topics.rejected; set, for example, '
            'kafka.schema_ids.rejected = 7, or topics.rejected = ""',
        ),
        (
            ("regularity.validation=leave-one-out", "training.solver=sgdf"),
            'regularity.validation = "leave-one-out" needs H⁻¹',
        ),
        (("users.penalty=l1",), 'users.penalty = "l1" does nothing with users.kind = "none"; set users.kind'),
        (("users.queries_per_day=3",), 'users.queries_per_day = 3 does nothing with users.kind = "none"'),
        (("users.parameters=2.*",), 'users.parameters = ["2.*"] does nothing with users.kind = "none"; set users.kind'),
        (
            ("users.kind=deviation", "users.parameters=2.*"),
            'users.parameters = ["2.*"] is of networks and model.kind is "linear"; remove it, or set model.kind = "mlp"',
        ),
        (
            ("users.kind=deviation", "users.penalty=l1", "users.parameters=2.*", "model.kind=mlp"),
            'users.parameters = ["2.*"] are deviated in by their square alone, and users.penalty = "l1"; remove users.para',
        ),
        (
            ("users.kind=personality", "users.parameters=2.*"),
            'users.parameters = ["2.*"] are deviated in by their square',
        ),
        (("users.directions=2",), 'users.directions = 2 does nothing with users.kind = "none"'),
        (("users.kind=deviation", "users.directions=2"), "users.directions = 2 are what personalities have in common"),
        (("users.kind=personality", "users.penalty=l1"), 'users.kind = "personality" measures by the square'),
        (
            (GAMMA_NORMAL[0],),
            'users.kind = "gamma-normal" is of values and model.loss is ""; set model.loss = "squared"',
        ),
        ((*GAMMA_NORMAL, "features.standardise=false"), 'users.kind = "gamma-normal" needs standardised features'),
        ((*GAMMA_NORMAL, "regularity.regularizer=l1"), 'users.kind = "gamma-normal" has the regularizer'),
        ((*GAMMA_NORMAL, "regularity.increasing=log"), 'users.kind = "gamma-normal" has the regularizer'),
        ((*GAMMA_NORMAL, "users.penalty=l1"), 'users.kind = "gamma-normal" measures by the square'),
        ((*GAMMA_NORMAL, "model.kind=mlp"), 'users.kind = "gamma-normal" needs a linear model'),
        (("users.kind=hierarchy", "model.kind=mlp"), 'users.kind = "hierarchy" needs a linear model'),
        (
            ("users.kind=hierarchy", "features.standardise=false"),
            'users.kind = "hierarchy" needs standardised features',
        ),
        (("users.kind=hierarchy", "regularity.regularizer=l1"), 'users.kind = "hierarchy" has the regularizer Σ μ_u²'),
        (("users.kind=hierarchy", "regularity.compensated=true"), 'users.kind = "hierarchy" has priors that are norm'),
        (
            ("users.kind=hierarchy", "regularity.intercept_precision=0"),
            'users.kind = "hierarchy" needs a prior of intercepts; set, for example, regularity.intercept_precision',
        ),
        (("users.kind=hierarchy", "users.penalty=l1"), 'users.kind = "hierarchy" measures by the square'),
        (
            ("users.kind=hierarchy", "regularity.validation=holdout"),
            'users.kind = "hierarchy" tests λ on each user\'s own labels before they are learned, and regularity.valid',
        ),
        (
            ("users.kind=deviation", "regularity.validation=rotating"),
            'users.kind = "deviation" tests λ on each user\'s own labels before they are learned, and regularity.valid',
        ),
        ((*SCORED, "users.kind=deviation"), 'users.kind = "deviation" is of a daemon that reads all events'),
    ],
)
def test_keys_that_contradict_each_other_are_refused(overrides: tuple[str, ...], beginning: str) -> None:
    assert refusal(overrides=overrides).startswith(beginning)


@pytest.mark.parametrize("key", ["kafka.partitions", "kafka.replication"])
def test_what_would_do_nothing_without_creating_topics_is_refused(key: str) -> None:
    expected = f"{key} = 2 does nothing without kafka.create_topics = true; set that, or remove it"
    assert expected == refusal(overrides=(f"{key}=2",))


@pytest.mark.parametrize("key", OF_NETWORKS)
def test_what_would_do_nothing_to_a_linear_model_is_refused(key: str) -> None:
    other = "float32" if key == "model.dtype" else json.loads(OTHER[key][0])
    shown = limits.show(key, other)
    expected = f'{key} = {shown} is of networks and model.kind is "linear"; remove it, or set model.kind = "mlp"'
    assert expected == refusal(overrides=(f"{key}={other}",))


def test_that_a_linear_model_is_in_float64_may_be_said() -> None:
    assert "float64" == settings.read(None, {}, ("model.dtype=float64",)).model.dtype


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            ("model.kind=mlp", "training.solver=newton"),
            'training.solver = "newton" needs a linear model and model.kind is "mlp"; set training.solver = "auto"',
        ),
        (
            ("model.kind=mine:net", "training.solver=cg"),
            'training.solver = "cg" needs a linear model and model.kind is "mine:net"; set training.solver = "auto"',
        ),
        (
            ("model.kind=mlp", "regularity.free=a"),
            'regularity.free is of linear models and model.kind is "mlp"; use regularity.parameters',
        ),
        (
            ("model.kind=mlp", "regularity.validation=leave-one-out"),
            'regularity.validation = "leave-one-out" needs a linear model and model.kind is "mlp"; '
            'set regularity.validation = "progressive" or "rotating"',
        ),
        (
            ("model.kind=mine:net", "model.hidden=8"),
            'model.hidden is of the named networks and model.kind is "mine:net"; remove it',
        ),
        (
            (*TOKENS, "model.hidden=8, 4"),
            'model.kind = "embedding-bag" has one hidden width; set, for example, model.hidden = [32]',
        ),
        (
            ("model.kind=cnn",),
            'model.kind = "cnn" needs the shape of its images; set, for example, model.shape = [1, 8, 8]',
        ),
        (
            ("model.kind=cnn", "model.shape=8, 8"),
            'model.kind = "cnn" needs the shape of its images; set, for example, model.shape = [1, 8, 8]',
        ),
        (
            ("model.kind=embedding-bag",),
            'model.kind = "embedding-bag" takes token ids; set features.kind = "tokens"',
        ),
        (
            ("model.kind=mlp", "features.kind=tokens"),
            'features.kind = "tokens" is not for model.kind = "mlp"; set model.kind = "embedding-bag"',
        ),
        (
            ("model.kind=cnn", "model.shape=1, 8, 8", "features.kind=tokens"),
            'features.kind = "tokens" is not for model.kind = "cnn"; set model.kind = "embedding-bag"',
        ),
        (
            ("model.kind=mine:net", "features.length=8"),
            'features.length = 8 is of tokens and features.kind is "dense"; remove it, or set features.kind = "tokens"',
        ),
        (
            ("model.kind=mlp", "model.vocabulary=8"),
            'model.vocabulary = 8 is of tokens and features.kind is "dense"; '
            'remove it, or set features.kind = "tokens"',
        ),
        (
            (*TOKENS, "model.shape=8"),
            'model.shape is given and features.kind = "tokens" has no use for it; remove it',
        ),
        (
            (*TOKENS, "features.names=a, b"),
            'features.names is given and features.kind = "tokens" has no use for it; remove it',
        ),
        (
            ("model.kind=mlp", "model.shape=3", "features.names=a, b"),
            "model.shape has 3 places and features.names names 2; make them the same number",
        ),
    ],
)
def test_what_a_network_cannot_have_is_refused(overrides: tuple[str, ...], expected: str) -> None:
    assert expected == refusal(overrides=overrides)


@pytest.mark.parametrize(
    "overrides",
    [
        ("model.kind=cnn", "model.shape=1, 8, 8"),
        ("model.kind=mine:net", "features.kind=tokens", "features.length=8", "model.vocabulary=9"),
        ("model.kind=mlp", "model.shape=2", "features.names=a, b"),
        ("model.kind=mlp", "training.solver=sgdf", "regularity.validation=rotating"),
    ],
)
def test_what_a_network_can_have_is_not(overrides: tuple[str, ...]) -> None:
    assert overrides[0] == f"model.kind={settings.read(None, {}, overrides).model.kind}"


@pytest.mark.parametrize("strategy", ["auto", *STRATEGIES])
def test_every_strategy_can_be_configured_where_it_has_a_meaning(strategy: str) -> None:
    read = settings.read(None, {}, (f"queries.strategy={strategy}", "model.loss=logistic"))
    assert strategy == read.queries.strategy


def test_two_outputs_may_be_switched_off() -> None:
    read = settings.read(None, {}, ("topics.queries=", "topics.rejected="))
    assert (read.topics.queries, read.topics.predictions, read.topics.rejected) == ("", "", "")


@pytest.mark.parametrize("text", ["a = 1\nb = = 2\n", "a = 1\nb = [1,", "a = 1\na = 2\n"])
def test_a_syntax_error_names_its_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    assert refusal(path).startswith(f"{path}: is not TOML: ")
    assert "line 2" in refusal(path)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    assert "there is no such file" in refusal(tmp_path / "none.toml")
    assert "cannot be read" in refusal(tmp_path)
    assert "is not UTF-8" in refusal(tmp_path / "latin.toml")


@pytest.mark.parametrize("given", ["queries=3", "queries"])
def test_a_section_is_not_a_value(given: str, tmp_path: Path) -> None:
    assert refusal(overrides=(given,)).startswith("--set")
    path = tmp_path / "c.toml"
    path.write_text("queries = 3\n")
    assert "queries is a section" in refusal(path)


def test_secrets_are_not_echoed(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    lines = ['[kafka]\nsettings = "hunter2"', '[kafka]\npassword = "hunter2"', '[kafka.setting]\nsasl = "hunter2"']
    for text in lines:
        path.write_text(text)
        assert "hunter2" not in refusal(path)
    for override in ("kafka.settings=hunter2", "kafka.password=hunter2", "kafka.settings.x hunter2", "hunter2"):
        assert "hunter2" not in refusal(overrides=(override,))
    assert "hunter2" not in refusal(environment={"STREAMLEARN__KAFKA__TOKEN": "hunter2"})


def test_differences_show_what_was_set_and_hide_secrets() -> None:
    read = settings.read(None, {}, ("queries.budget=0.05", "kafka.settings.sasl_plain_password=hunter2"))
    assert settings.differences(read) == {"kafka.settings.sasl_plain_password": "***", "queries.budget": "0.05"}
