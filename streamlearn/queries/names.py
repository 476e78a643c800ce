"""The strategies' names, for those who must not wait for the mathematics to be loaded: the command line and its limits."""

from __future__ import annotations

OF_CLASSES = ("uncertainty", "margin", "entropy", "least-confidence", "flip")  # which tell classes apart
OF_ANY = (
    "committee",
    "gradient-length",
    "leverage",
    "sld",
    "sld-unlabeled",
    *(influence + form for influence in ("si", "ssi", "sti") for form in ("", "-unlabeled", "-doubly-unlabeled")),
    "random",
)
NAMES = OF_CLASSES + OF_ANY
