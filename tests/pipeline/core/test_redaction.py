"""No password or token of an address, a field, a header or the environment is in a text that was redacted; hosts stay."""

import pytest

from pipeline.core.redaction import redact

SECRET = "hush-hush"


@pytest.mark.parametrize(
    "text, left",
    (
        (f"http://anna:{SECRET}@host:5000/api", "http://host:5000/api"),
        (f"https://{SECRET}@host", "https://host"),
        (f"postgresql://anna:{SECRET}@/mlflow?host=/tmp/x", "postgresql:///mlflow?host=/tmp/x"),
        (f"postgresql+psycopg2://anna:{SECRET}@host/db?sslmode=require", "postgresql+psycopg2://host/db?sslmode=require"),
        (f"http://anna:a@b/{SECRET}@host:5000", "http://host:5000"),
        (f"postgresql:///db?user=anna&password={SECRET}&host=h", "postgresql:///db?user=***&password=***&host=h"),
        (f"http://host/?token={SECRET}#,;x", "http://host/?token=***"),
        (f"with url: /api?access={SECRET} (Caused by", "with url: /api?access=*** (Caused by"),
        (f"host=h password={SECRET} user=anna", "host=h password=*** user=anna"),
        (f"PGPASSWORD='{SECRET} {SECRET}' psql", "PGPASSWORD=*** psql"),
        (f"Authorization: Basic {SECRET}==, Bearer {SECRET}", "Authorization: Basic ***, Bearer ***"),
        (f"a http://x:{SECRET}@a and ftp://y:{SECRET}@b", "a http://a and ftp://b"),
        (f"store anna:{SECRET}@host:5000 can't be used", "store host:5000 can't be used"),
        (f"store 'anna:a@b/{SECRET}@host:5000'", "store 'host:5000'"),
        (f"http:/anna:{SECRET}@host:5000", "http:/host:5000"),
        (f"http:/{SECRET}@host", "http:/host"),
        (f"//anna:{SECRET}@host:5000", "//host:5000"),
        (f"//{SECRET}@host", "//host"),
        (f"HTTP:anna:{SECRET}@host:5000", "HTTP:host:5000"),
        (f"https:{SECRET}@host", "https:host"),
        (f"http//anna:{SECRET}@host", "http//host"),
        (f"http:\\\\anna:{SECRET}@host", "http:\\\\host"),
        (f"postgresql:anna:{SECRET}@host/db", "host/db"),
        (f"(url=anna:{SECRET}@host)", "(url=host)"),
    ),
)
def test_a_secret_is_taken_out_and_the_rest_stays(text, left):
    assert redact(text) == left


@pytest.mark.parametrize(
    "text", ("connection to h:5000 failed", "", "a@b.c", "http://host:5000/#/experiments/1?run_id=3", "x = y", "at 12:30: a@b.c")
)
def test_a_text_without_a_secret_stays_as_it_is(text):
    assert redact(text) == text


@pytest.mark.parametrize(
    "name, value",
    (
        ("MLFLOW_TRACKING_URI", f"http://anna:{SECRET}@host"),
        ("MLFLOW_TRACKING_URI", f"http://host?token={SECRET}"),
        ("MLFLOW_TRACKING_PASSWORD", SECRET),
        ("MLFLOW_TRACKING_TOKEN", SECRET),
        ("DATABASE", f"postgresql://anna:{SECRET}@host/db"),
        *(
            ("MLFLOW_TRACKING_URI", f"{scheme}anna:{SECRET}@h:1")
            for scheme in ("", "/", "//", "http:", "http:/", "http//", "postgresql:")
        ),
        *(("MLFLOW_TRACKING_URI", f"{scheme}{SECRET}@h:1") for scheme in ("", "//", "http:", "http:/", "http://")),
        ("https_proxy", f"anna:{SECRET}@host:3128"),
        ("PGPASSWORD", SECRET),
    ),
)
def test_what_the_environment_keeps_secret_is_taken_out_wherever_it_stands(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert redact(f"the server said: no user {SECRET!r} here") == "the server said: no user '***' here"


def test_a_secret_is_found_as_it_is_written_in_an_address_and_as_it_is_meant(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://anna:p%40ss%2Fword@host")
    assert redact("p%40ss%2Fword, p@ss/word") == "***, ***"
    assert redact("told by hand: s3cr3t!", "postgresql://anna:s3cr3t!@host/db") == "told by hand: ***"


def test_the_path_of_a_file_is_no_secret(monkeypatch):
    for path in ("/home/anna@host/runs", "./anna@host", "~/anna@host"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", path)
        assert redact(f"the store {path}") == f"the store {path}"


def test_a_secret_of_three_letters_is_hidden_in_addresses_only(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://anna:the@host")
    assert redact("the server http://anna:the@host") == "the server http://host"
