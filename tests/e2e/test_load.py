"""kpiload over HTTP: what it says it sent is what kpid has."""

import subprocess
import time

import conftest

BODY = 'ingest: [ { protocol: influx, listen: "http:127.0.0.1:0" } ]\n'


def test_http_is_answered_before_it_is_counted(kpid):
    daemon = kpid(BODY)
    hour = int(time.time()) // 3600 * 3600 - 3600
    sent = conftest.load("-t", "http", "-p", "influx", "-a", f"127.0.0.1:{daemon.port('http')}", "-n", 20000,
                         "-s", 400, "-c", 3, "-b", 20000, "-T", f"{hour}:60")
    assert (sent["samples"], sent["errors"]) == (20000, 0)
    total = sum(float(sent[f"{kind}_sum"]) for kind in ("cnt", "tim", "gau"))
    assert abs(daemon.value("sum(bench_api_value)") - total) < 1e-6


def test_an_answer_that_is_no_success_ends_it(kpid):
    daemon = kpid(BODY)
    done = subprocess.run(
        [conftest.BUILD / "kpiload", "-t", "http", "-p", "influx", "-a", f"127.0.0.1:{daemon.port('http')}",
         "-H", "/nowhere", "-n", "10"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "answered 404" in done.stderr


def test_a_protocol_goes_only_over_what_it_is_spoken_over():
    done = subprocess.run([conftest.BUILD / "kpiload", "-t", "http", "-p", "statsd"], capture_output=True, text=True,
                          timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--protocol statsd does not go over --transport http" in done.stderr
