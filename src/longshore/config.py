"""Settings: one frozen, validated object, read from flags, `LONGSHORE_…`, and `longshore.toml`, in that order.

Nothing is read at import. All errors are reported together, each naming the key, the value and the mend. Environment
names are `LONGSHORE_` plus the key, sections joined by `__`: `LONGSHORE_MONITOR__PANE_S=30`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from longshore.alert_settings import AlertSettings
from longshore.errors import ConfigurationError
from longshore.fairness_settings import FairnessSettings
from longshore.kpi_settings import Kpis
from longshore.settings_file import explain, read_toml

INTERVAL_LEVELS = (0.8, 0.9, 0.95)
"""Those at which a version's manifest says how far from a prediction the truth lies."""


class Section(BaseModel):
    """A frozen group of settings that refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class KafkaSettings(Section):
    """How to reach Kafka. `client` holds librdkafka's own keys (TLS, SASL, …) and wins over our defaults.

    `session_timeout_ms` of 0 means 4 s, or the least that the broker accepts where that is more (classic protocol).
    """

    client: dict[str, SecretStr] = Field(default_factory=dict)
    group_protocol: Literal["classic", "consumer"] = "classic"
    session_timeout_ms: int = Field(default=0, ge=0)
    transaction_timeout_ms: int = Field(default=10_000, ge=1_000)
    request_timeout_s: float = Field(default=10.0, gt=0)


class TopicsSettings(Section):
    """How topics are created. `replication` of 0 means 3, or 1 where the cluster has a single broker."""

    partitions: int = Field(default=4, ge=1)
    replication: int = Field(default=0, ge=0)
    min_insync_replicas: int = Field(default=0, ge=0)
    retention_hours: float = Field(default=168.0, gt=0)


class ScorerSettings(Section):
    """Batch sizes and timings of the scorer; what a crash does to its outputs.

    `interval`: publish with each prediction where the truth lies, at this level (0.8, 0.9 or 0.95).
    """

    group: str = "scorer"
    delivery: Literal["exactly_once", "at_least_once"] = "exactly_once"
    max_batch: int = Field(default=8_000, ge=1, le=100_000)
    poll_timeout_s: float = Field(default=0.05, gt=0)
    commit_interval_s: float = Field(default=0.1, ge=0)
    model_poll_s: float = Field(default=1.0, gt=0)
    format: Literal["onnx", "joblib"] = "onnx"
    interval: float | None = None

    @field_validator("interval")
    @classmethod
    def _known_level(cls, level: float | None) -> float | None:
        if level is not None and level not in INTERVAL_LEVELS:
            raise ValueError(f"intervals are known at the levels {', '.join(map(str, INTERVAL_LEVELS))}")
        return level


class MonitorSettings(Section):
    """Panes, windows, the alarm's error rate and its persistence.

    `run_length_records`: the mean number of records between false alerts; `alpha`, where given, is the limit itself.
    `thresholds`: fixed limits on distances instead, by `metric` or `stream.metric`. `provisional`: verdicts also on the
    next window while its panes are open, beside the final ones, which do not change by it.
    `quality_run_length_records`: the least mean number of records between false alerts of a fault of the data (None: as
    `run_length_records`). `quality_ignore`: kinds of faults, or `stream.kind`, that are not told and hold nothing.
    `joint`: on `sample_rows` whole rows of each pane, columns together. `estimate`: the share of records for estimates.

    Of labels: a `performance` event for every `window_labels` of them; `run_length_labels`: their mean number between
    the loss test's false alarms. `policy`: under `harm` a drift of inputs asks for a retraining only where the error
    grew, too. `budget`: so many requests in so many days of event time (0: any number). `dry_run`: they are only told.
    `max_model_age_days`: a model in use for so many days of event time is asked to be replaced (None: never).
    `label_lateness_s`: how long a label counts and is waited for. `relay_labels`, `kpis`: docs/labels.md, docs/kpis.md.
    `fairness`: groups whose errors are compared (docs/fairness.md).
    """

    group: str = "monitor"
    pane_s: float = Field(default=10.0, gt=0)
    window_records: int = Field(default=1_000, ge=100)
    allowed_lateness_s: float = Field(default=10.0, ge=0)
    idle_after_s: float = Field(default=5.0, gt=0)
    commit_interval_s: float = Field(default=1.0, gt=0)
    run_length_records: float = Field(default=1_000_000, ge=1_000)
    alpha: float | None = Field(default=None, gt=0, lt=1)
    thresholds: dict[str, float] = {}
    persistence: tuple[int, int] = (2, 3)
    min_fresh_labels: int = Field(default=2_000, ge=0)
    cooldown_windows: int = Field(default=3, ge=0)
    provisional: bool = True
    quality_run_length_records: float | None = Field(default=None, ge=1_000)
    quality_ignore: tuple[str, ...] = ()
    joint: bool = False
    estimate: float = Field(default=0.0625, ge=0, le=1)
    sample_rows: int = Field(default=128, ge=50, le=2_000)
    policy: Literal["drift", "harm"] = "drift"
    window_labels: int = Field(default=1_000, ge=30)
    run_length_labels: float = Field(default=1_000_000, ge=1_000)
    budget: tuple[Annotated[int, Field(ge=0)], Annotated[float, Field(gt=0)]] = (0, 30.0)
    dry_run: bool = False
    max_model_age_days: float | None = Field(default=None, gt=0)
    label_lateness_s: float = Field(default=259_200.0, gt=0)
    relay_labels: bool = False
    kpis: Kpis = {}
    fairness: FairnessSettings = FairnessSettings()


class TrainerSettings(Section):
    """The batch run: sizes, split and gate.

    The gate: `approval` by itself or by a person, `evidence` asked of a challenger on fresh rows (with `margin` where
    it need only be not worse), the margins on segments and on history, limits for serving, and the `framing` file.

    The search: `auto` is full for `longshore train` and quick for a request; it ends after `search_fits` fits (the
    same result every time) or, where given, `search_seconds`. `max_trees` bounds what the chosen model costs to serve.
    `jobs` fits at a time (0: as many as cores) run where `backend` says; `cluster` is the address of a Dask scheduler
    or a Ray head. `niceness`: by how much a trainer that follows requests steps back for scorers beside it.
    """

    group: str = "trainer"
    test_share: float = Field(default=0.2, gt=0, lt=1)
    min_rows: int = Field(default=500, ge=50)
    max_rows: int = Field(default=200_000, ge=1_000)
    claim_ttl_s: float = Field(default=30.0, gt=0)
    margin: float = Field(default=0.01, ge=0)
    approval: Literal["auto", "manual"] = "auto"
    evidence: Literal["better", "not_worse"] = "better"
    segment_margin: float = Field(default=0.02, ge=0)
    forgetting_margin: float = Field(default=0.1, ge=0)
    max_latency_ms: float = Field(default=1.0, gt=0)
    max_model_mb: float = Field(default=128.0, gt=0)
    framing: Path | None = None
    search: Literal["auto", "quick", "full"] = "auto"
    search_fits: int = Field(default=150, ge=30)
    search_seconds: float | None = Field(default=None, gt=0)
    max_trees: int = Field(default=1_200, ge=50)
    jobs: int = Field(default=0, ge=0)
    backend: Literal["loky", "threading", "dask", "ray"] = "loky"
    cluster: str | None = None
    niceness: int = Field(default=3, ge=0, le=19)
    seed: int = 42


class DatasetSettings(Section):
    """Training sets: where their versions lie (`folder`: `home`/datasets), how many stay, and what is refused as bad.

    `clock`: with `wall`, rows and labels dated after this moment are left out; with `stream`, where times are made up,
    all that was read counts. Shares are 0 … 1; `trusted_columns` may be missing, or determine the target.
    """

    folder: Path | None = None
    keep: int = Field(default=20, ge=2)
    clock: Literal["wall", "stream"] = "wall"
    max_missing: float = Field(default=0.9, gt=0, le=1)
    max_contradictory: float = Field(default=0.01, ge=0, le=1)
    max_undecodable: float = Field(default=0.05, ge=0, le=1)
    trusted_columns: tuple[str, ...] = ()


class SigningSettings(Section):
    """Who signs models (`key`, a private key's file), and whose signatures count (`trusted`, a file or a folder).

    With neither, both are the keys under `home`/keys, where `train` makes a pair. `require`: refuse unsigned models
    even where no key is trusted.
    """

    key: Path | None = None
    trusted: Path | None = None
    require: bool = False


class ServerSettings(Section):
    """Where a service's /metrics, /healthz and /readyz listen; port 0 picks a free one, logged at start."""

    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65_535)


class ServeSettings(Section):
    """`longshore serve`: where it listens, and what it lets a client ask for and wait for."""

    host: str = "127.0.0.1"
    port: int = Field(default=8_080, ge=0, le=65_535)
    max_body_bytes: int = Field(default=4_194_304, ge=1_024)
    max_request_rows: int = Field(default=4_096, ge=1)
    max_batch_rows: int = Field(default=4_096, ge=1)
    queue_rows: int = Field(default=16_384, ge=1)
    drain_s: float = Field(default=0.0, ge=0, le=60)


class Settings(BaseSettings):
    """Everything a Longshore process may be told."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix="LONGSHORE_", env_nested_delimiter="__", env_ignore_empty=True
    )

    home: Path = Path(".longshore")
    bootstrap_servers: str | None = None
    redis_url: SecretStr | None = None
    registry_url: str | None = None
    topic_prefix: str = Field(default="longshore.", pattern=r"^[A-Za-z0-9._-]{0,200}$")
    schema_file: Path | None = None
    model: str = Field(default="default", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    instance: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,100}$")
    data: Path | None = None

    kafka: KafkaSettings = KafkaSettings()
    topics: TopicsSettings = TopicsSettings()
    scorer: ScorerSettings = ScorerSettings()
    monitor: MonitorSettings = MonitorSettings()
    trainer: TrainerSettings = TrainerSettings()
    datasets: DatasetSettings = DatasetSettings()
    signing: SigningSettings = SigningSettings()
    server: ServerSettings = ServerSettings()
    serve: ServeSettings = ServeSettings()
    alerts: AlertSettings = AlertSettings()

    def registry(self) -> str:
        """The registry's address: the setting, or a folder under `home`."""
        return self.registry_url or str(self.home / "registry")

    def datasets_folder(self) -> Path:
        """Where versions of training sets lie, a folder for each model: the setting, or under `home`."""
        return self.datasets.folder or self.home / "datasets"


def load(config_file: Path | None = None, flags: dict[str, Any] | None = None) -> Settings:
    """Read settings: `flags` over the environment over `config_file` (default: `longshore.toml` where present).

    Raises:
        ConfigurationError: a file cannot be read or parsed, a key is unknown or a value is out of range.

    """
    path = config_file or Path("longshore.toml")
    values = read_toml(path) if config_file or path.is_file() else {}

    class Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            del dotenv_settings, file_secret_settings
            return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=values)

    try:
        return Loaded(**{key: value for key, value in (flags or {}).items() if value is not None})
    except ValidationError as error:
        raise ConfigurationError(
            explain(error, path if values else None), mend="correct each and start again"
        ) from error
