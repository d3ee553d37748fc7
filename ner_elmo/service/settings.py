"""The settings of ``serve``."""

from __future__ import annotations

from dataclasses import dataclass

from ner_elmo.nn import precisions
from ner_elmo.settings import SettingError, check, setting

SERVER, LIMITS, MACHINE = "Server", "Limits", "Machine"


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """How the server listens, what it refuses, and how it computes.

    Raises:
        SettingError: a value that cannot be meant.
    """

    host: str = setting(
        "127.0.0.1", help="address to listen on; 0.0.0.0 is all, for other machines to reach it", panel=SERVER
    )
    port: int = setting(8000, help="port to listen on; 0 is any that is free", at_least=0, at_most=65535, panel=SERVER)
    api_key_file: str | None = setting(
        None,
        help="file with keys, one a line; requests then need one (Authorization: Bearer KEY)",
        metavar="FILE",
        panel=SERVER,
    )
    cors: str | None = setting(
        None,
        help="origins whose pages may ask, such as https://example.org; several: with commas, or repeated",
        repeats=True,
        by_default="none",
        panel=SERVER,
    )
    explore: str | None = setting(
        None,
        help="folder of an index that ner-elmo explore made; what is near to a word is then answered at /explore",
        metavar="DIR",
        panel=SERVER,
    )
    access_log: bool = setting(
        True,
        help="a line of JSON on standard error for each request, never with its text",
        flag="--access-log/--no-access-log",
        panel=SERVER,
    )
    max_bytes: int = setting(1 << 20, help="most bytes of a request", at_least=1, panel=LIMITS)
    max_texts: int = setting(1000, help="most texts of a request", at_least=1, panel=LIMITS)
    max_queue: int = setting(
        256, help="most requests that wait; more are answered 429, come again later", at_least=1, panel=LIMITS
    )
    timeout: float = setting(
        30.0, help="seconds until a request is given up and answered 503", above=0.0, at_most=86_400, panel=LIMITS
    )
    precision: str = setting(
        "fp32",
        help=precisions.INFERENCE_HELP,
        choices=precisions.INFERENCE,
        panel=MACHINE,
    )
    batch_tokens: int = setting(
        2048, help="about so many tokens of all requests are computed together", at_least=1, panel=MACHINE
    )
    wait_ms: float = setting(
        2.0, help="milliseconds that a request waits for others to join it", at_least=0, at_most=1000, panel=MACHINE
    )

    def __post_init__(self) -> None:
        check(self)
        for origin in self.origins:
            if origin != "*" and "://" not in origin:
                raise SettingError("cors", f"found {origin}, expected an origin such as https://example.org")

    @property
    def origins(self) -> list[str]:
        """The origins of ``cors``."""
        return [origin.strip() for origin in (self.cors or "").split(",") if origin.strip()]
