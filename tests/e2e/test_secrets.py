"""Secrets stay where they are: no log line, answer, metric, finding, print or message shows one."""

import os
import subprocess

import pytest

from conftest import BUILD, wait_until

TOKENS = ["HUNTERone", "HUNTERtwo", "HUNTERthree", "SFVOVEVSZm91ckhVTlRFUmZvdXJIVU5URVI", "HUNTERfive"]

BODY = """
ingest: [ { protocol: statsd, listen: "udp:127.0.0.1:0" } ]
kpis:
  errors: { value: sum(failed), target: { at_most: 1 }, evaluate: every 1s, hooks: [ chat, web, file, refused ] }
hooks:
  chat: { type: slack, url: { env: KPID_TEST_CHAT } }
  web:
    type: webhook
    url: { env: KPID_TEST_WEB }
    allow_http: true
    secrets: [ { env: KPID_TEST_KEY } ]
    retry: { first: 1s }
  file: { type: webhook, url: { file: secret }, allow_http: true, retry: { first: 1s } }
  refused: { type: webhook, url: { env: KPID_TEST_REFUSED }, allow_http: true, retry: { first: 1s } }
"""

QUESTIONS = [["status"], ["show", "errors"], ["query", "sum(failed)"], ["alerts"], ["alerts", "--all"], ["hooks"],
             ["ingest"]]


def assert_clean(text, where):
    for token in TOKENS:
        assert token not in text, f"{token} in {where}: {text}"


@pytest.fixture
def environment(receiver, tmp_path):
    (tmp_path / "secret").write_text(f"http://127.0.0.1:9/{TOKENS[2]}/x\n")
    (tmp_path / "secret").chmod(0o600)
    return {
        "KPID_TEST_CHAT": f"https://127.0.0.1:9/services/T000/B000/{TOKENS[0]}?token={TOKENS[1]}",
        "KPID_TEST_WEB": f"http://127.0.0.1:9/{TOKENS[1]}?key={TOKENS[0]}",
        "KPID_TEST_KEY": f"whsec_{TOKENS[3]}=",
        "KPID_TEST_REFUSED": f"http://127.0.0.1:{receiver.port}/{TOKENS[4]}",
    }


def test_nothing_that_kpid_says_shows_a_secret(kpid, receiver, environment):
    receiver.status = 403
    daemon = kpid(BODY, environment=environment)
    daemon.kpictl("push", "failed=9", "--type", "counter")

    def all_have_failed():
        hooks = daemon.ask("hooks")["hooks"]
        return all(hook["last_error"] for hook in hooks) and hooks

    wait_until(all_have_failed, "each hook to fail")
    for question in QUESTIONS:
        for form in ([], ["--json"]):
            done = daemon.kpictl(*question, *form)
            assert_clean(done.stdout + done.stderr, question)
    for path in ("/metrics", "/readyz", "/nothing", "/api/v1/hooks", "/api/v1/hooks/web"):
        assert_clean(daemon.get(path)[1], path)
    daemon.reload()
    daemon.config_path.write_text(daemon.config_path.read_text() + "  broken: { type: slack }\n")
    daemon.reload()
    assert "reload_refused" in daemon.log()
    assert daemon.stop() == 0
    assert_clean(daemon.log(), "the log")
    assert "hook=web" in daemon.log(), "it does say which hook failed"


def test_what_is_printed_names_the_sources_alone(kpid, environment):
    daemon = kpid(BODY, start=False, environment=environment)
    for option in ("--check", "--print-config"):
        done = subprocess.run([BUILD / "kpid", "-c", daemon.config_path, option], capture_output=True, text=True,
                              check=True, env={**os.environ, **environment})
        assert_clean(done.stdout + done.stderr, option)
    assert "env: KPID_TEST_WEB" in done.stdout and f"file: {daemon.folder}/secret" in done.stdout


@pytest.mark.parametrize("name,value", [
    ("KPID_TEST_CHAT", "http://example.com/HUNTERone"),
    ("KPID_TEST_CHAT", "HUNTERone"),
    ("KPID_TEST_CHAT", "https://user:HUNTERtwo@example.com/HUNTERone"),
    ("KPID_TEST_CHAT", "ftp://example.com/HUNTERone"),
    ("KPID_TEST_CHAT", "https:///HUNTERone"),
    ("KPID_TEST_CHAT", "https://example.com:99999/HUNTERone"),
    ("KPID_TEST_WEB", "http://example.com/ HUNTERone"),
    ("KPID_TEST_WEB", "http://HUNTERone\x7f/"),
    ("KPID_TEST_KEY", "HUNTERone"),
    ("KPID_TEST_KEY", "whsec_HUNTERone***"),
])
def test_a_mistake_in_a_secret_does_not_quote_it(kpid, environment, name, value):
    daemon = kpid(BODY, start=False, environment={**environment, name: value})
    daemon.spawn("--check")
    daemon.process.wait(60)
    assert_clean(daemon.log(), (name, value))


def test_the_key_of_a_webhook_is_no_part_of_its_messages(kpid, receiver, environment):
    daemon = kpid(BODY, environment={**environment, "KPID_TEST_WEB": f"{receiver.url}/{TOKENS[1]}"})
    daemon.kpictl("push", "failed=9", "--type", "counter")
    wait_until(lambda: len(receiver.requests) >= 2, "both messages")
    for _, headers, body in list(receiver.requests):
        assert_clean(body.decode() + str(headers), "a message")
