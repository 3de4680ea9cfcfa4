"""The JSON Schema that kpid prints: valid itself, accepts what kpid accepts, refuses what it refuses."""

import json
import os
import pathlib
import subprocess

import jsonschema
import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("KPID_BUILD", ROOT / "build" / "asan"))
EXAMPLES = [ROOT / "config" / "kpid.yaml", ROOT / "config" / "kpis.yaml", ROOT / "config" / "demo.yaml",
            ROOT / "tests" / "unit" / "config" / "language.yaml"]


class CoreLoader(yaml.SafeLoader):
    """Texts, numbers and booleans as editors read them (the core schema of YAML 1.2)."""


CoreLoader.yaml_implicit_resolvers = {}
for tag, pattern, first in [
    ("bool", "^(true|false)$", "tf"),
    ("int", "^[-+]?[0-9]+$", "-+0123456789"),
    ("float", "^[-+]?[0-9]+[.][0-9]+$", "-+0123456789"),
    ("null", "^(~|null|)$", ["~", "n", ""]),
]:
    CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", yaml.resolver.re.compile(pattern), list(first))


@pytest.fixture(scope="module")
def schema():
    printed = subprocess.run([BUILD / "kpid", "--json-schema"], check=True, capture_output=True, text=True).stdout
    return json.loads(printed)


def errors(schema, document):
    validator = jsonschema.Draft202012Validator(schema)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in validator.iter_errors(document)]


def test_is_a_valid_schema(schema):
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
@pytest.mark.parametrize("loader", [CoreLoader, yaml.BaseLoader], ids=["typed", "texts"])
def test_accepts_what_kpid_accepts(schema, path, loader):
    assert errors(schema, yaml.load(path.read_text(encoding="utf-8"), loader)) == []


@pytest.mark.parametrize(
    "text",
    [
        "kpis: { a: { valu: sum(x) } }",
        "kpis: { a: { title: no value } }",
        "kpis: { Big: sum(x) }",
        "kpis: { a: { value: sum(x), period: fortnight } }",
        "hooks: { a: { type: slack, url: https://hooks.slack.com/secret } }",
        "hooks: { a: { type: slack, url: { env: X }, topic: y } }",
        "hooks: { a: { type: pigeon } }",
        "ingest: { protocol: statsd }",
        "server: { limits: { line: many } }",
        "storage: { dedupe: { max_future: soon } }",
        "metrics: { a: { unit: h } }",
        "rules: { r: { target: t, severity: high } }",
    ],
)
def test_refuses_what_kpid_refuses(schema, text):
    assert errors(schema, yaml.load(text, CoreLoader)) != []
