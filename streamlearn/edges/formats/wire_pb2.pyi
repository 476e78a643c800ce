from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Event(_message.Message):
    __slots__ = ("id", "array", "map", "time", "user")
    ID_FIELD_NUMBER: _ClassVar[int]
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    MAP_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    id: str
    array: Array
    map: Map
    time: float
    user: str
    def __init__(self, id: _Optional[str] = ..., array: _Optional[_Union[Array, _Mapping]] = ..., map: _Optional[_Union[Map, _Mapping]] = ..., time: _Optional[float] = ..., user: _Optional[str] = ...) -> None: ...

class EventBatch(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class Label(_message.Message):
    __slots__ = ("id", "y", "array", "map", "weight", "time", "user")
    ID_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    MAP_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    id: str
    y: Answer
    array: Array
    map: Map
    weight: float
    time: float
    user: str
    def __init__(self, id: _Optional[str] = ..., y: _Optional[_Union[Answer, _Mapping]] = ..., array: _Optional[_Union[Array, _Mapping]] = ..., map: _Optional[_Union[Map, _Mapping]] = ..., weight: _Optional[float] = ..., time: _Optional[float] = ..., user: _Optional[str] = ...) -> None: ...

class LabelBatch(_message.Message):
    __slots__ = ("labels",)
    LABELS_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    def __init__(self, labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ...) -> None: ...

class Query(_message.Message):
    __slots__ = ("id", "array", "map", "score", "trusted", "strategy", "reason", "probability", "prediction", "model_version", "time", "expires", "threshold", "shadows", "user")
    ID_FIELD_NUMBER: _ClassVar[int]
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    MAP_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    TRUSTED_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    SHADOWS_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    id: str
    array: Array
    map: Map
    score: float
    trusted: bool
    strategy: str
    reason: str
    probability: float
    prediction: Answer
    model_version: int
    time: float
    expires: float
    threshold: float
    shadows: _containers.RepeatedCompositeFieldContainer[Shadow]
    user: str
    def __init__(self, id: _Optional[str] = ..., array: _Optional[_Union[Array, _Mapping]] = ..., map: _Optional[_Union[Map, _Mapping]] = ..., score: _Optional[float] = ..., trusted: _Optional[bool] = ..., strategy: _Optional[str] = ..., reason: _Optional[str] = ..., probability: _Optional[float] = ..., prediction: _Optional[_Union[Answer, _Mapping]] = ..., model_version: _Optional[int] = ..., time: _Optional[float] = ..., expires: _Optional[float] = ..., threshold: _Optional[float] = ..., shadows: _Optional[_Iterable[_Union[Shadow, _Mapping]]] = ..., user: _Optional[str] = ...) -> None: ...

class Prediction(_message.Message):
    __slots__ = ("id", "prediction", "score", "trusted", "model_version", "shadows")
    ID_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    TRUSTED_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    SHADOWS_FIELD_NUMBER: _ClassVar[int]
    id: str
    prediction: Answer
    score: float
    trusted: bool
    model_version: int
    shadows: _containers.RepeatedCompositeFieldContainer[Shadow]
    def __init__(self, id: _Optional[str] = ..., prediction: _Optional[_Union[Answer, _Mapping]] = ..., score: _Optional[float] = ..., trusted: _Optional[bool] = ..., model_version: _Optional[int] = ..., shadows: _Optional[_Iterable[_Union[Shadow, _Mapping]]] = ...) -> None: ...

class Shadow(_message.Message):
    __slots__ = ("strategy", "score", "asks")
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    ASKS_FIELD_NUMBER: _ClassVar[int]
    strategy: str
    score: float
    asks: bool
    def __init__(self, strategy: _Optional[str] = ..., score: _Optional[float] = ..., asks: _Optional[bool] = ...) -> None: ...

class Rejected(_message.Message):
    __slots__ = ("topic", "partition", "offset", "index", "reason", "key", "value", "size")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    topic: str
    partition: int
    offset: int
    index: int
    reason: str
    key: bytes
    value: bytes
    size: int
    def __init__(self, topic: _Optional[str] = ..., partition: _Optional[int] = ..., offset: _Optional[int] = ..., index: _Optional[int] = ..., reason: _Optional[str] = ..., key: _Optional[bytes] = ..., value: _Optional[bytes] = ..., size: _Optional[int] = ...) -> None: ...

class Array(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class Map(_message.Message):
    __slots__ = ("features",)
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    features: _containers.RepeatedCompositeFieldContainer[Feature]
    def __init__(self, features: _Optional[_Iterable[_Union[Feature, _Mapping]]] = ...) -> None: ...

class Feature(_message.Message):
    __slots__ = ("name", "number", "boolean", "text")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    BOOLEAN_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    name: str
    number: float
    boolean: bool
    text: str
    def __init__(self, name: _Optional[str] = ..., number: _Optional[float] = ..., boolean: _Optional[bool] = ..., text: _Optional[str] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("number", "integer", "boolean", "text", "forgotten")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    BOOLEAN_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FORGOTTEN_FIELD_NUMBER: _ClassVar[int]
    number: float
    integer: int
    boolean: bool
    text: str
    forgotten: bool
    def __init__(self, number: _Optional[float] = ..., integer: _Optional[int] = ..., boolean: _Optional[bool] = ..., text: _Optional[str] = ..., forgotten: _Optional[bool] = ...) -> None: ...

class Parts(_message.Message):
    __slots__ = ("id", "parts")
    ID_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    id: bytes
    parts: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, id: _Optional[bytes] = ..., parts: _Optional[_Iterable[bytes]] = ...) -> None: ...
