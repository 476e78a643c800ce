"""The report says the same of a store, whatever reads it, as of the pipeline that wrote it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamlearn import assemble
from streamlearn.config import Configuration, Regularity
from streamlearn.service import restore
from streamlearn.service.metrics import Measurements
from streamlearn.service.report import report
from tests.laws import logs


@pytest.mark.parametrize("validation", ["progressive", "holdout", "rotating", "leave-one-out"])
def test_who_reads_a_store_without_its_configuration_sees_which_examples_were_held_out(validation: str) -> None:
    told = replace(Configuration(), regularity=Regularity(validation=validation))
    written = logs.trial(told)
    written.poll(logs.stream(120))
    reader = assemble.pipeline(Configuration(), written.store.recall, Measurements())
    restore.put_back(reader, written.store.load(), for_reading=True)
    expected, found = report(written.pipeline), report(reader)
    assert expected == found
    assert (len(expected["test_ids"]) > 5) == (validation in ("holdout", "rotating"))  # type: ignore[arg-type]  # a list
