"""The strategies' names, for those who must not wait for the mathematics to be loaded: the command line and its limits."""

from __future__ import annotations

OF_CLASSES = (  # which tell classes apart
    "uncertainty",
    "margin",
    "entropy",
    "least-confidence",
    "decisive",
    "informed",
    "informed-boundary",
    "flip",
)
OF_ANY = (
    "committee",
    "gradient-length",
    "leverage",
    "v-optimality",
    "sld",
    "sld-unlabeled",
    "sld-residual",
    *(influence + form for influence in ("si", "ssi", "sti") for form in ("", "-unlabeled", "-doubly-unlabeled")),
    "random",
    "periodic",
)
NAMES = OF_CLASSES + OF_ANY
