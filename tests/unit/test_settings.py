import pytest
from pydantic import ValidationError

from services.chassis.settings import ChassisSettings, Form, load

COMPLETE = {
    "TIERCEL_DATABASE_URL": "postgresql://db/tiercel",
    "TIERCEL_KAFKA_BOOTSTRAP": "kafka:9092",
    "TIERCEL_API_KEYS_FILE": "keys.json",
}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("TIERCEL_"):
            monkeypatch.delenv(name)


def refusal(monkeypatch: pytest.MonkeyPatch, **changes: str | None) -> str:
    for name, value in (COMPLETE | changes).items():
        if value is not None:
            monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as exited:
        load(ChassisSettings)
    return str(exited.value)


def test_a_complete_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in COMPLETE.items():
        monkeypatch.setenv(name, value)
    settings = load(ChassisSettings)
    assert settings.form is Form.DISTRIBUTED
    assert settings.kafka_bootstrap == "kafka:9092"
    assert not settings.replay


def test_the_embedded_form_needs_nothing() -> None:
    assert ChassisSettings(form=Form.EMBEDDED).database_url is None


@pytest.mark.parametrize("missing", ["TIERCEL_DATABASE_URL", "TIERCEL_KAFKA_BOOTSTRAP"])
def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    assert missing in refusal(monkeypatch, **{missing: None})


def test_the_distributed_form_refuses_to_start_without_authentication(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "TIERCEL_AUTH_JWKS or TIERCEL_API_KEYS_FILE" in refusal(monkeypatch, TIERCEL_API_KEYS_FILE=None)


def test_tokens_of_any_issuer_are_not_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "TIERCEL_AUTH_ISSUER" in refusal(monkeypatch, TIERCEL_AUTH_JWKS="jwks.json")


def test_sasl_without_credentials_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "TIERCEL_KAFKA_USERNAME" in refusal(monkeypatch, TIERCEL_KAFKA_SECURITY="SASL_SSL")


def test_nonsense_is_refused_in_one_sentence_that_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refusal(monkeypatch, TIERCEL_CURRENCY="pounds", TIERCEL_LOG_LEVEL="loud")
    assert "TIERCEL_CURRENCY: " in text
    assert "TIERCEL_LOG_LEVEL: " in text
    assert "\n" not in text


def test_a_secret_is_not_shown_when_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refusal(monkeypatch, TIERCEL_KAFKA_PASSWORD="hunter2", TIERCEL_CURRENCY="hunter2")
    assert "hunter2" not in text
    monkeypatch.delenv("TIERCEL_CURRENCY")
    settings = load(ChassisSettings)
    assert settings.kafka_password is not None
    assert "hunter2" not in repr(settings)


def test_settings_cannot_be_changed() -> None:
    settings = ChassisSettings(form=Form.EMBEDDED)
    with pytest.raises(ValidationError):
        settings.replay = True  # type: ignore[misc]
