/* The language, second part: sections of which none is built yet. They are read and checked, so
 * that a file may hold them. */
#include "config/schema.h"
#include "config/schema_macros.h"

static const struct schema_entry PERSON_KEYS[] = {
    KEY("name", TEXT, "the full name"),
    KEY("email", TEXT, "the mail address"),
    KEY("slack", TEXT, "the member id in Slack"),
};
const struct schema_object SCHEMA_PERSON = {
    .name = "person", .help = "Somebody who answers for KPIs.", KEYS(PERSON_KEYS)};

static const struct schema_entry TEAM_KEYS[] = {
    KEY("lead", ID, "who leads it"),
    KEY("members", ID, "who is in it", LIST),
    KEY("max_kpis", WHOLE, "more KPIs are a finding"),
};
const struct schema_object SCHEMA_TEAM = {
    .name = "team", .help = "People who work together.", KEYS(TEAM_KEYS)};

static const struct schema_entry COLLECTOR_KEYS[] = {
    KEY("argv", TEXT, "the program and its arguments; no shell", LIST, REQUIRED),
    KEY("schedule", SCHEDULE, "when it runs", REQUIRED, OBJECT(&SCHEMA_SCHEDULE_MAP)),
    KEY("timeout", SPAN, "it is ended after that"),
    KEY("metrics", TEXT, "what its metrics' names begin with"),
};
const struct schema_object SCHEMA_COLLECTOR = {
    .name = "collector",
    .help = "A program whose lines name=value label=value are pushed.",
    KEYS(COLLECTOR_KEYS)};

/* --- goals -------------------------------------------------------------------------------------
 */

static const struct schema_entry GOAL_KPI_KEYS[] = {
    KEY("kpi", ID, "the KPI", REQUIRED),
    KEY("role", CHOICE, "whether it moves before or after the goal", ONE_OF("lagging", "leading")),
    KEY("weight", NUMBER, "its part of the goal's score"),
    KEY("key", BOOL, "the one metric that matters this period"),
};
static const struct schema_object GOAL_KPI_OBJECT = {
    .name = "goal_kpi", .help = "A KPI of a goal.", KEYS(GOAL_KPI_KEYS)};

static const struct schema_entry RESULT_KEYS[] = {
    KEY("id", ID, "its id"),
    KEY("title", TEXT, "its name for people", REQUIRED),
    KEY("owner", ID, "who answers for it"),
    KEY("score", TEXT, "manual, or how it is scored"),
};
static const struct schema_object RESULT_OBJECT = {
    .name = "result", .help = "A result that no metric shows.", KEYS(RESULT_KEYS)};

static const struct schema_entry ACTION_KEYS[] = {
    KEY("title", TEXT, "what is done", REQUIRED),
    KEY("owner", ID, "who does it"),
    KEY("due", DATE, "until when"),
    KEY("moves", ID, "the KPI it is meant to move"),
    KEY("link", TEXT, "where it is followed"),
};
static const struct schema_object ACTION_OBJECT = {
    .name = "action", .help = "What is done for a goal.", KEYS(ACTION_KEYS)};

static const struct schema_entry REVIEW_KEYS[] = {
    KEY("schedule", SCHEDULE, "when", REQUIRED, OBJECT(&SCHEMA_SCHEDULE_MAP)),
    KEY("who", ID, "who meets", ONE_OR_LIST),
    KEY("overdue_after", SPAN, "it is late after that", .words = true),
};
static const struct schema_object REVIEW_OBJECT = {
    .name = "review", .help = "When people look at a goal.", KEYS(REVIEW_KEYS)};

static const struct schema_entry GOAL_KEYS[] = {
    KEY("title", TEXT, "its name for people"),
    KEY("why", TEXT, "what it is good for"),
    KEY("owner", ID, "who answers for it"),
    KEY("team", ID, "whose it is"),
    KEY("parent", ID, "the goal it serves"),
    KEY("word", TEXT, "what it is called here: vision, objective, aim"),
    KEY("framework", CHOICE, "whose rules it follows", ONE_OF("okr", "mbo", "bsc", "omtm", "none")),
    KEY("period", TEXT, "the period it is for, as FY2026"),
    KEY("until", DATE, "its last day"),
    KEY("kpis", ID, "its KPIs", LIST, OBJECT(&GOAL_KPI_OBJECT)),
    KEY("results", NONE, "results that no metric shows", LIST, OBJECT(&RESULT_OBJECT)),
    KEY("actions", NONE, "what is done for it", LIST, OBJECT(&ACTION_OBJECT)),
    KEY("review", NONE, "when people look at it", OBJECT(&REVIEW_OBJECT)),
    KEY("approve", ID, "who approves its targets", ONE_OR_LIST),
    KEY("stretch", BOOL, "70 % of it counts as success"),
    KEY("max_kpis", WHOLE, "more KPIs are a finding"),
    KEY("visible", TEXT, "who may see it", ONE_OR_LIST),
};
const struct schema_object SCHEMA_GOAL = {
    .name = "goal", .help = "What KPIs and targets are for; goals form a tree.", KEYS(GOAL_KEYS)};

/* --- faces -------------------------------------------------------------------------------------
 */

static const struct schema_entry SMTP_KEYS[] = {
    KEY("host", TEXT, "the mail server", REQUIRED),
    KEY("port", WHOLE, "its port", WORDS("587")),
    KEY("tls", CHOICE, "how it is encrypted", WORDS("starttls"),
        ONE_OF("starttls", "implicit", "none")),
    KEY("user", TEXT, "the account"),
    KEY("password", SECRET, "its password", OBJECT(&SCHEMA_SECRET_SOURCE)),
    KEY("from", TEXT, "the sender", REQUIRED),
};
const struct schema_object SCHEMA_SMTP = {
    .name = "smtp", .help = "The mail server of e-mail hooks.", KEYS(SMTP_KEYS)};

static const struct schema_entry HEARTBEAT_KEYS[] = {
    KEY("url", TEXT, "what is called", REQUIRED, OBJECT(&SCHEMA_SECRET_SOURCE)),
    KEY("schedule", SCHEDULE, "when", REQUIRED, OBJECT(&SCHEMA_SCHEDULE_MAP)),
    KEY("timeout", SPAN, "of one attempt"),
    KEY("allow_http", BOOL, "http to another host than this one"),
};
const struct schema_object SCHEMA_HEARTBEAT = {
    .name = "heartbeat", .help = "Tells somebody else that kpid lives.", KEYS(HEARTBEAT_KEYS)};

static const struct schema_entry DIGEST_KEYS[] = {
    KEY("schedule", SCHEDULE, "when it goes out", REQUIRED, OBJECT(&SCHEMA_SCHEDULE_MAP)),
    KEY("title", TEXT, "its title"),
    KEY("goals", ID, "goals in it", LIST),
    KEY("kpis", ID, "KPIs in it", LIST),
    KEY("team", ID, "the team it is for"),
    KEY("hooks", ID, "where it goes", ONE_OR_LIST),
    KEY("show", TEXT, "its parts", LIST),
    KEY("skip_if", CHOICE, "when it is left out", ONE_OF("nothing_changed")),
    KEY("attach", CHOICE, "what is attached", ONE_OF("csv")),
};
const struct schema_object SCHEMA_DIGEST = {
    .name = "digest", .help = "A summary on a schedule.", KEYS(DIGEST_KEYS)};

static const struct schema_entry BOARD_KEYS[] = {
    KEY("title", TEXT, "its title"),
    KEY("rotate", SPAN, "how long each page stands"),
    KEY("goals", ID, "goals on it", LIST),
    KEY("kpis", ID, "KPIs on it", LIST),
    KEY("compare", TEXT, "periods beside the open one", LIST),
    KEY("public_token", SECRET, "who has it sees the board", OBJECT(&SCHEMA_SECRET_SOURCE)),
};
const struct schema_object SCHEMA_BOARD = {
    .name = "board", .help = "A page of the dashboard.", KEYS(BOARD_KEYS)};

static const struct schema_entry MUTE_KEYS[] = {
    KEY("from", DATE, "the first day"),
    KEY("to", DATE, "the last day"),
    KEY("inside", TEXT, "hours in which it acts, as office.hours"),
    KEY("outside", TEXT, "hours outside of which it acts, as support.hours"),
    KEY("schedule", SCHEDULE, "when it begins", OBJECT(&SCHEMA_SCHEDULE_MAP)),
    KEY("duration", SPAN, "how long it lasts"),
    KEY("all", BOOL, "it acts on everything, named or not"),
    KEY("severity", CHOICE, "severities it holds back", LIST,
        ONE_OF("info", "warning", "critical")),
    KEY("reason", TEXT, "why"),
    KEY("hold", CHOICE, "how held messages are told", ONE_OF("digest")),
};
const struct schema_object SCHEMA_MUTE = {
    .name = "mute", .help = "A time in which nothing is told.", KEYS(MUTE_KEYS)};

static const struct schema_entry ANNOTATION_KEYS[] = {
    KEY("at", DATE, "when"),
    KEY("from", DATE, "the first day"),
    KEY("to", DATE, "the last day"),
    KEY("kpis", ID, "KPIs it is about", LIST),
    KEY("text", TEXT, "what happened", REQUIRED),
    KEY("exclude", BOOL, "leave the span out of figures"),
    KEY("reason", TEXT, "why"),
};
const struct schema_object SCHEMA_ANNOTATION = {
    .name = "annotation", .help = "What happened when.", KEYS(ANNOTATION_KEYS)};

static const struct schema_entry DIAGNOSIS_KEYS[] = {
    KEY("goal", ID, "the goal it is about"),
    KEY("if", CONDITION, "the condition", REQUIRED),
    KEY("then", TEXT, "where to look", REQUIRED),
};
const struct schema_object SCHEMA_DIAGNOSIS = {
    .name = "diagnosis", .help = "If this and that, then look there.", KEYS(DIAGNOSIS_KEYS)};

static const struct schema_entry IGNORE_KEYS[] = {
    KEY("rule", TEXT, "the finding's id, as M06", REQUIRED),
    KEY("on", TEXT, "the object"),
    KEY("because", TEXT, "why", REQUIRED),
    KEY("until", DATE, "until when"),
};
static const struct schema_object IGNORE_OBJECT = {
    .name = "ignore", .help = "A finding that is known.", KEYS(IGNORE_KEYS)};

static const struct schema_entry LINT_KEYS[] = {
    KEY("level", CHOICE, "how much is asked of KPIs", ONE_OF("basic", "smart")),
    KEY("fail_on", CHOICE, "what makes kpictl lint fail", ONE_OF("info", "warning", "error")),
    KEY("ignore", NONE, "findings that are known", LIST, OBJECT(&IGNORE_OBJECT)),
};
const struct schema_object SCHEMA_LINT = {
    .name = "lint", .help = "What kpictl lint says.", KEYS(LINT_KEYS)};

static const struct schema_entry EXPECT_KEYS[] = {
    KEY("at", DATE, "when"),
    KEY("rule", ID, "the rule"),
    KEY("kpi", ID, "the KPI"),
    KEY("state", TEXT, "its state then"),
    KEY("status", TEXT, "its status then"),
    KEY("value", QUANTITY, "its figure then"),
};
static const struct schema_object EXPECTATION_OBJECT = {
    .name = "expectation", .help = "What must be true then.", KEYS(EXPECT_KEYS)};

static const struct schema_entry TEST_KEYS[] = {
    KEY("name", TEXT, "a sentence", REQUIRED),
    KEY("at", DATE, "when the test ends"),
    KEY("series", TEXT, "metric to a list of VALUE@DATE", NAMES),
    KEY("expect", NONE, "what must be true when", LIST, OBJECT(&EXPECTATION_OBJECT)),
};
const struct schema_object SCHEMA_TEST = {
    .name = "test", .help = "A test of rules with made-up series.", KEYS(TEST_KEYS)};
