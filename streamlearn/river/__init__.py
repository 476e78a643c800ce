"""The learner and its query strategies as estimators of river.

    from streamlearn.river import QuerySampler, StreamlearnClassifier, StreamlearnRegressor

They go wherever river's own do: pipelines, `evaluate.progressive_val_score`, ensembles, `clone`, pickle.
"""

from __future__ import annotations

from streamlearn.river.estimators import StreamlearnClassifier as StreamlearnClassifier
from streamlearn.river.estimators import StreamlearnRegressor as StreamlearnRegressor
from streamlearn.river.sampler import QuerySampler as QuerySampler
