"""All settings of the server: one table, read once from the environment, validated together, then frozen."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from server import setting_values as values
from server.secret import MASK, Location, Secret, mask

Quantization = Literal["fp32", "fp16", "int8", "int8-static", "chosen"]
Device = Literal["auto", "cpu", "cuda"]

QUANTIZATIONS: tuple[Quantization, ...] = ("fp32", "fp16", "int8", "int8-static", "chosen")
DEVICES: tuple[Device, ...] = ("auto", "cpu", "cuda")
LOG_LEVELS = ("debug", "info", "warning", "error")


class SettingsError(ValueError):
    """One or more settings are invalid; `problems` holds a line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of the table: environment variable, default before parsing, parser, help."""

    name: str
    default: str
    parse: Callable[[str], Any]
    help: str
    secret: bool = False

    def read(self, environ: Mapping[str, str]) -> Any:  # noqa: ANN401 - the type is the parser's
        """Parse this setting from `environ`; unset and empty mean the default.

        Raises:
            ValueError: the value is invalid. The message names the setting and what is allowed.
        """
        text = environ.get(self.name, "").strip() or self.default
        try:
            return self.parse(text)
        except ValueError as error:
            shown = MASK if self.secret else repr(mask(text))
            raise ValueError(f"{self.name}={shown}: {error}") from None


@dataclass(frozen=True, slots=True)
class Settings:
    """The effective settings. None stands for `auto`, or for unset where the help says so."""

    model: str
    models_dir: Path
    quantization: Quantization | None
    device: Device
    host: str
    port: int
    base_path: str
    api_key: Secret
    model_aliases: tuple[str, ...]
    threads: int | None
    streams: int | None
    longest_text_s: float
    max_batch_tokens: int | None
    max_queue_tokens: int | None
    memory_mb: int | None
    gpu_memory_mb: int | None
    max_client_batch_size: int
    max_request_tokens: int
    max_body_bytes: int
    max_text_chars: int
    max_header_bytes: int
    max_connections: int
    keep_alive_s: int
    receive_timeout_s: float
    request_timeout_s: float
    auto_truncate: bool
    cache_entries: int
    cors_allow_origin: tuple[str, ...]
    playground: bool
    otel_exporter_otlp_endpoint: Location
    log_format: Literal["text", "json"]
    log_level: str

    def items(self) -> Iterator[tuple[str, str]]:
        """Yield each setting's name and printable value, secrets masked."""
        for field in fields(self):
            yield field.name.upper(), _printable(getattr(self, field.name))


def resolve(environ: Mapping[str, str]) -> Settings:
    """Read all settings from `environ`.

    Raises:
        SettingsError: with every invalid setting, not only the first.
    """
    values: dict[str, Any] = {}
    problems = []
    for setting in SETTINGS:
        try:
            values[setting.name.lower()] = setting.read(environ)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise SettingsError(problems)
    return Settings(**values)


def _printable(value: object) -> str:
    if value is None:
        return "auto"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(mask, value)) or "(none)"
    return mask(str(value))


def _quantization(text: str) -> str | None:
    return values.choice(QUANTIZATIONS)(text) if text else None


SETTINGS: tuple[Setting, ...] = (
    Setting("MODEL", "bge-large-en-v1.5", values.model, "Model to serve: the name it was built under, or its Hub id."),
    Setting("MODELS_DIR", "models", Path, "Folder that holds the built models."),
    Setting(
        "QUANTIZATION",
        "",
        _quantization,
        "Precision: fp32, fp16, int8, int8-static, or chosen: the one that `make choose` wrote into the model's "
        "manifest. Unset: fp32 on CPU (maximum accuracy), fp16 on CUDA.",
    ),
    Setting(
        "DEVICE", "auto", values.choice(DEVICES), "auto, cpu or cuda. auto takes CUDA where a usable GPU is found."
    ),
    Setting("HOST", "0.0.0.0", values.host, "Address to listen on."),  # noqa: S104 - a container must be reachable
    Setting("PORT", "8000", values.whole(0, 65535), "TCP port to listen on; 0 lets the system choose one."),
    Setting(
        "BASE_PATH",
        "",
        values.base_path,
        "Prefix that a reverse proxy leaves before every path, such as /embeddings-api. Paths without it are served, "
        "too.",
    ),
    Setting(
        "API_KEY",
        "",
        values.keys,
        "Keys that callers may send as `Authorization: Bearer KEY`, separated by commas, so that one can replace "
        "another without a gap. Unset: no key is asked for.",
        secret=True,
    ),
    Setting(
        "MODEL_ALIASES",
        "",
        values.aliases,
        "Further names for the served model, separated by commas, such as text-embedding-3-small, for clients that "
        "cannot be told its own. Answers have its own name.",
    ),
    Setting(
        "THREADS", "auto", values.whole_or_auto(1), "Inference threads. auto: physical cores within quota and affinity."
    ),
    Setting(
        "STREAMS",
        "auto",
        values.whole_or_auto(1),
        "Batches computed side by side, at most THREADS, which share the inference threads; more of them answer more "
        "texts a second, and each text later. auto: as many as answer the most texts a second, measured at start, "
        "while the longest text takes at most LONGEST_TEXT_S. On a GPU: one.",
    ),
    Setting(
        "LONGEST_TEXT_S",
        "0.25",
        values.seconds,
        "Seconds that the model's longest text may take while all streams are busy, for STREAMS=auto.",
    ),
    Setting(
        "MAX_BATCH_TOKENS",
        "auto",
        values.whole_or_auto(1),
        "Tokens computed at once, padding included; at least the model's longest text. auto: the smallest batch that "
        "reaches 97 % of the best throughput, measured at start.",
    ),
    Setting(
        "MAX_QUEUE_TOKENS",
        "auto",
        values.whole_or_auto(1),
        "Tokens that may wait or run before requests are refused with 429, which they are where a text of the greatest "
        "length has no room. auto: five seconds of work at the measured speed. "
        "One request counts for at most half, so that a huge one is accepted and leaves room for others.",
    ),
    Setting(
        "MEMORY_MB",
        "auto",
        values.whole_or_auto(1),
        "Memory that the process may take, in MB of 2^20 bytes. auto: the container's limit, or the machine's memory. "
        "What the warm server leaves of it, less the peak of one request and at most 1 GiB, is what connections and "
        "requests may hold together; beyond it: 429.",
    ),
    Setting(
        "GPU_MEMORY_MB",
        "auto",
        values.whole_or_auto(1),
        "Memory of the GPU that the server may take, in MB of 2^20 bytes. auto: 90 % of what the GPU has.",
    ),
    Setting("MAX_CLIENT_BATCH_SIZE", "1024", values.whole(1), "Texts in one request."),
    Setting(
        "MAX_REQUEST_TOKENS", "524288", values.whole(1), "Tokens in one request, prompts included, after truncation."
    ),
    Setting(
        "MAX_BODY_BYTES",
        "8000000",
        values.whole(1),
        "Bytes in one request body. The default holds 1024 English texts of 512 tokens (about 2.5 MB) even where "
        r"the client writes many characters as \u escapes of six bytes. Bodies of more than 64 KiB share three "
        "quarters of the memory for requests (MEMORY_MB); beyond it: 429.",
    ),
    Setting(
        "MAX_TEXT_CHARS",
        "131072",
        values.whole(1),
        "Characters in one text, checked before tokenization, whose time grows with them (about 3 s a million).",
    ),
    Setting(
        "MAX_HEADER_BYTES", "32768", values.whole(1024), "Bytes in the request line and the headers of one request."
    ),
    Setting(
        "MAX_CONNECTIONS",
        "10000",
        values.whole(1),
        "Open connections. One more takes the place of one that is idle, and is answered 503 where none is; probes "
        "always get an answer. Lowered at start to what the process may open.",
    ),
    Setting(
        "KEEP_ALIVE_S",
        "75",
        values.whole(1, 86400),
        "Seconds that an idle connection is kept open. Longer than a load balancer reuses it (60 s is common), so that "
        "no request meets a connection that is being closed.",
    ),
    Setting(
        "RECEIVE_TIMEOUT_S",
        "20",
        values.seconds,
        "Seconds for a request's headers, and again for its body, to arrive whole; and for the caller to take 64 KiB "
        "of an answer that waits for it.",
    ),
    Setting(
        "REQUEST_TIMEOUT_S",
        "60",
        values.seconds,
        "Seconds until a request that is not answered gets 504. A request may ask for less with the header "
        "`x-request-timeout-ms`.",
    ),
    Setting(
        "AUTO_TRUNCATE",
        "true",
        values.boolean,
        "true cuts texts longer than the model reads, false refuses them; a request's `truncate` overrides it.",
    ),
    Setting(
        "CACHE_ENTRIES",
        "0",
        values.whole(0),
        "Vectors kept for texts that come again, least recently used out first. 0: none. One takes about 4 KB for "
        "each 1024 dimensions, and its token ids.",
    ),
    Setting(
        "CORS_ALLOW_ORIGIN",
        "",
        values.origins,
        "Origins whose pages may call, separated by commas; what pages of others post is refused. Unset: none but the "
        "server's own.",
    ),
    Setting(
        "PLAYGROUND",
        "true",
        values.boolean,
        "true serves the page to try the model on at /, false the list of routes.",
    ),
    Setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "",
        values.collector,
        "OpenTelemetry collector that gets a trace of every request, over HTTP, such as http://collector:4318. Needs "
        "requirements/otel.txt. Unset: none.",
    ),
    Setting("LOG_FORMAT", "text", values.choice(("text", "json")), "text or json, one line per event."),
    Setting("LOG_LEVEL", "info", values.choice(LOG_LEVELS), f"{', '.join(LOG_LEVELS)}."),
)
