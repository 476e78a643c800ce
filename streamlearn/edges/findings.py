"""What `streamlearn check` finds: one line each."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """hint: what to do where it is not ok. harmless: the daemon starts nevertheless."""

    ok: bool
    subject: str
    text: str
    hint: str = ""
    harmless: bool = False

    def __str__(self) -> str:
        sign = "ok  " if self.ok else "warn" if self.harmless else "FAIL"
        hint = f" - {self.hint}" if self.hint else ""
        return f"{sign} {self.subject}: {self.text}{hint}"
