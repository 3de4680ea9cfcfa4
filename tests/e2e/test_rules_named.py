"""Every rule of a wire format is named by the test that holds kpid to it, so that nobody can lose one.

Named is a rule by the name of a test, on its line or directly above, or by a row of a table in a test: on its line, or in
a comment directly above the first of several rows. What a comment says anywhere else holds nobody to anything."""

import re

from conftest import ROOT

RULES = {"S": [*range(1, 20)],  # StatsD
         "D": [*range(1, 16)],  # DogStatsD
         "G": [*range(1, 14)],  # Graphite
         "I": [*range(1, 14), *range(20, 31)],  # InfluxDB: lines, HTTP
         "P": [*range(1, 19)],  # Prometheus
         "O": [*range(1, 20)]}  # OpenTelemetry

TEST = {".c": re.compile(r"static void (\w+)\("), ".py": re.compile(r"def (test_\w+)\(")}
ABOVE = ("/*", " *", "#", "@")
ROW = re.compile(r"\s+[{\[(\"]")
COMMENT = re.compile(r"\s+(/\*.*\*/|#.*)$")


def rules_in(text):
    text = text.replace("_", " ")
    named = set(re.findall(r"\b[SDGIPO]\d{1,2}\b", text))
    for letter, first, last in re.findall(r"\b([SDGIPO])(\d+) to \1(\d+)\b", text):
        named |= {f"{letter}{number}" for number in range(int(first), int(last) + 1)}
    return named


def each_test(text, suffix):
    """The lines that name each test, and those of its body."""
    lines = text.split("\n")
    for i, line in enumerate(lines):
        found = TEST[suffix].match(line)
        if not found or (suffix == ".c" and len(re.findall(rf"\b{found[1]}\b", text)) < 2):
            continue  # in C a test is a function that is given to cmocka
        first, body = i, i + 1
        while first > 0 and lines[first - 1].startswith(ABOVE):
            first -= 1
        while suffix == ".c" and body < len(lines) and lines[body - 1] != "{":
            body += 1
        end = body
        while end < len(lines) and (lines[end] == "" or lines[end][0].isspace()):
            end += 1
        yield lines[first:body], lines[body:end]


def named_in(text, suffix):
    named = set()
    for head, body in each_test(text, suffix):
        named |= rules_in(" ".join(head))
        for line, following in zip(body, [*body[1:], ""]):
            if ROW.match(line) or (COMMENT.match(line) and ROW.match(following)):
                named |= rules_in(line)
    return named


def test_each_rule_is_named_by_a_test():
    named = set()
    for folder in ("unit", "e2e"):
        for path in (ROOT / "tests" / folder).rglob("test_*.[cp]*"):
            if path.suffix in TEST and path.name != "test_rules_named.py":
                named |= named_in(path.read_text(encoding="utf-8"), path.suffix)
    missing = [f"{letter}{number}" for letter, numbers in RULES.items() for number in numbers
               if f"{letter}{number}" not in named]
    assert not missing


def test_a_comment_elsewhere_names_nothing():
    text = '''/* S1 to S17 of the reference. */
/* --- P3 --- */

/* S1: directly above */
static void S2_is_in_the_name(
    void **state) /* S3 */
{
    /* S4: what follows is no row */
    check(1); /* S5 */
    static const struct row rows[] = {
        /* S6: of both rows */
        {"a", 1},
        {"b", 2}, /* S7 */
    };
}

static void S8_is_no_test(void **state)
{
}

int main(void)
{
    cmocka_unit_test(S2_is_in_the_name);
}
'''
    assert named_in(text, ".c") == {"S1", "S2", "S3", "S6", "S7"}
    text = '''# S9
X = 1  # D1


@given("x")  # D2
def test_it(kpid):  # D3, D5 to D6
    # D7
    do(it)  # D8
    for a in [
            ("x", 1),  # D9
    ]:
        pass


def helper():  # D10
    pass
'''
    assert named_in(text, ".py") == {"D2", "D3", "D5", "D6", "D9"}
