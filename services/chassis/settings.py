"""Settings that every service has, read once from the environment (prefix `TIERCEL_`) and then passed on.

A service subclasses `ChassisSettings` with fields of its own. Nonsense stops the start with one sentence that says what
to change.
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import Field, SecretStr, StringConstraints, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

S = TypeVar("S", bound="ChassisSettings")


class Form(StrEnum):
    """How the product runs: one process with a private PostgreSQL, or services of their own with real servers."""

    EMBEDDED = "embedded"
    DISTRIBUTED = "distributed"


class KafkaSecurity(StrEnum):
    """The `security_protocol` of Kafka clients."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"


class LogLevel(StrEnum):
    """What is logged: this level and worse."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class ChassisSettings(BaseSettings):
    """What the plumbing needs to know. The distributed form refuses to start without authentication."""

    model_config = SettingsConfigDict(env_prefix="TIERCEL_", extra="ignore", frozen=True, hide_input_in_errors=True)

    form: Form = Form.DISTRIBUTED
    database_url: str | None = Field(
        None, description="postgresql://…; none in the embedded form, which starts its own"
    )
    database_pool_max: Annotated[int, Field(ge=2, le=100)] = 8

    kafka_bootstrap: str | None = Field(None, description="host:port[,host:port…]; none in the embedded form")
    kafka_security: KafkaSecurity = KafkaSecurity.PLAINTEXT
    kafka_sasl_mechanism: str = "SCRAM-SHA-512"
    kafka_username: str | None = None
    kafka_password: SecretStr | None = None
    kafka_ca_file: Path | None = None
    kafka_topic_prefix: Annotated[str, StringConstraints(pattern=r"^[a-z0-9._-]{0,64}$")] = Field(
        "", description="before every topic and group: several deployments on one cluster"
    )

    redis_url: str | None = Field(None, description="redis://…; without it caches and rate limits are per process")

    auth_jwks: str | None = Field(None, description="file or https URL of the key set that signs access tokens")
    auth_issuer: str | None = None
    auth_audience: str = "tiercel"
    api_keys_file: Path | None = Field(None, description="hashed API keys, beside those in the database")

    audit_key_file: Path | None = Field(
        None,
        description="Ed25519 key (PEM) that signs anchors of the audit trail; the role relay needs it",
    )
    audit_anchor_folder: Path | None = Field(
        None, description="keep anchors in files here instead of in the event log; on another disk than the database"
    )

    otlp_endpoint: str | None = Field(
        None, description="http(s) address of an OpenTelemetry collector; none: no traces"
    )
    log_level: LogLevel = LogLevel.INFO
    access_log_every: Annotated[int, Field(ge=0)] = Field(
        0, description="log one in so many requests: 1 logs each, 0 only failures and slow ones"
    )
    replay: bool = Field(default=False, description="take part in a replay: business time is what its driver stored")
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "GBP"

    @model_validator(mode="after")
    def _distributed_form_is_complete(self) -> Self:
        if self.form is Form.EMBEDDED:
            return self
        if self.database_url is None:
            raise ValueError("TIERCEL_DATABASE_URL is missing: give the address of PostgreSQL, postgresql://host/name")
        if self.kafka_bootstrap is None:
            raise ValueError("TIERCEL_KAFKA_BOOTSTRAP is missing: give the address of Kafka, host:port")
        if self.auth_jwks is None and self.api_keys_file is None:
            raise ValueError("nobody could be authenticated: give TIERCEL_AUTH_JWKS or TIERCEL_API_KEYS_FILE")
        return self

    @model_validator(mode="after")
    def _tokens_have_an_issuer(self) -> Self:
        if self.auth_jwks is not None and self.auth_issuer is None:
            raise ValueError("TIERCEL_AUTH_ISSUER is missing: without it, tokens of any issuer would be accepted")
        return self

    @model_validator(mode="after")
    def _sasl_has_credentials(self) -> Self:
        if self.kafka_security.value.startswith("SASL") and (
            self.kafka_username is None or self.kafka_password is None
        ):
            raise ValueError("TIERCEL_KAFKA_SECURITY asks for SASL: give TIERCEL_KAFKA_USERNAME and _PASSWORD")
        return self


def load(cls: type[S], **given: Any) -> S:
    """The settings from what is given and the environment, or the end of the process with one sentence."""
    try:
        return cls(**given)
    except ValidationError as error:
        sys.exit(f"{cls.__name__}: {explain(error, str(cls.model_config.get('env_prefix', '')))}")


def explain(error: ValidationError, prefix: str) -> str:
    """All faults in one sentence, without the values, which may be secret."""
    return "; ".join(
        _fault(str(fault["loc"][0]) if fault["loc"] else "", fault["msg"], prefix) for fault in error.errors()
    )


def _fault(field: str, message: str, prefix: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"{prefix}{field}".upper() + f": {message}" if field else message
