"""Every rule of a wire format is named in the test that holds kpid to it, so that nobody can lose one."""

import re

from conftest import ROOT

RULES = {"S": [*range(1, 20)],  # StatsD
         "D": [*range(1, 16)],  # DogStatsD
         "G": [*range(1, 14)],  # Graphite
         "I": [*range(1, 14), *range(20, 31)],  # InfluxDB: lines, HTTP
         "P": [*range(1, 19)],  # Prometheus
         "O": [*range(1, 20)]}  # OpenTelemetry


def test_each_rule_is_named_in_a_test():
    files = [path for folder in ("unit", "e2e") for path in (ROOT / "tests" / folder).rglob("test_*.[cp]*")]
    named = set()
    for path in files:
        if path.name != "test_rules_named.py" and path.suffix in (".c", ".py"):
            text = path.read_text(encoding="utf-8")
            named |= set(re.findall(r"\b[SDGIPO]\d{1,2}\b", text))
            for letter, first, last in re.findall(r"\b([SDGIPO])(\d+) to \1(\d+)\b", text):
                named |= {f"{letter}{number}" for number in range(int(first), int(last) + 1)}
    missing = [f"{letter}{number}" for letter, numbers in RULES.items() for number in numbers
               if f"{letter}{number}" not in named]
    assert not missing
