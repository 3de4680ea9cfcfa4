/* The language, first part: what a small file is made of. */
#include "config/schema.h"
#include "config/schema_macros.h"

/* --- shared ------------------------------------------------------------------------------------
 */

static const struct schema_entry SECRET_KEYS[] = {
    KEY("file", TEXT,
        "a file that holds it; only the daemon and its group may read it; the newline at its end "
        "is not part of it"),
    KEY("env", TEXT, "an environment variable of the daemon"),
    KEY("credential", TEXT, "a file in systemd's $CREDENTIALS_DIRECTORY (LoadCredential=)"),
};
const struct schema_object SCHEMA_SECRET_SOURCE = {
    .name = "secret",
    .help = "Where a secret stands: exactly one of these. A secret is never written in the "
            "configuration itself.",
    KEYS(SECRET_KEYS),
};

static const struct schema_entry SCHEDULE_KEYS[] = {
    KEY("cron", TEXT, "five fields as in crontab(5), or \"@daily\" and its like"),
    KEY("every", TEXT, "a duration, as 10s or 15m"),
    KEY("at", TEXT, "an end of a period, as \"month_end + 2 business days 09:30\"", DRAFTS),
    KEY("timezone", TEXT, "an IANA zone, as Europe/Berlin", WORDS("that of the calendar")),
    KEY("catch_up", CHOICE, "what to do about runs that were missed", DEFAULT("none"),
        ONE_OF("none", "once", "all"), SOME("once", "all"), .mild = true),
    KEY("max_late", SPAN, "how late a missed run may still be made up for", LATER),
    KEY("skip", CHOICE, "days on which it does not run", LIST, LATER,
        ONE_OF("weekend", "holidays")),
    KEY("shift", CHOICE, "where a run on a skipped day goes", LATER,
        ONE_OF("next", "previous", "drop")),
    KEY("jitter", SPAN, "spreads runs over this span, the same for each name", LATER),
};
const struct schema_object SCHEMA_SCHEDULE_MAP = {
    .name = "schedule",
    .help = "When something runs: exactly one of cron, every or at.",
    KEYS(SCHEDULE_KEYS),
    .consequence = "what runs on it never runs",
};

/* --- organisation, server, ingest, storage -----------------------------------------------------
 */

static const struct schema_entry ORGANISATION_KEYS[] = {
    KEY("name", TEXT, "its name", KEPT),
    KEY("mission", TEXT, "what it is there for", KEPT),
    KEY("currency", TEXT, "the currency of figures without one", LATER),
    KEY("calendar", ID, "the calendar of everything that names none",
        WORDS("the calendar named default, else the host's zone, weeks from Monday")),
    KEY("locale", TEXT, "the language of messages", LATER),
};
static const struct schema_object ORGANISATION_OBJECT = {
    .name = "organisation",
    .help = "Whose KPIs these are.",
    KEYS(ORGANISATION_KEYS),
};

static const struct schema_entry TLS_KEYS[] = {
    KEY("cert", TEXT, "a PEM file: the certificate, then those that lead to its root", REQUIRED),
    KEY("key", TEXT,
        "a PEM file: its key, without a password; only the daemon and its group may read it",
        REQUIRED),
    KEY("client_ca", TEXT, "a PEM file of authorities: a client needs a certificate of one of them",
        WORDS("none")),
};
static const struct schema_object TLS_OBJECT = {
    .name = "tls",
    .help = "TLS 1.2 and later. The files are read at start and by a reload; one that cannot be "
            "used refuses the reload, and the certificate before it stays. They are regular files "
            "of at most 1 MiB.",
    KEYS(TLS_KEYS),
};

static const struct schema_entry HTTP_KEYS[] = {
    KEY("listen", TEXT,
        "an address for the API and metrics, as 127.0.0.1:8640; one that other machines can reach "
        "needs allow, tls with a client_ca, or tokens; a change needs a restart",
        WORDS("none")),
    KEY("base_url", TEXT, "how people reach it; it goes into messages"),
    KEY("allow", TEXT, "networks and addresses that may ask, as 10.0.0.0/8", LIST, WORDS("all")),
    KEY("tls", NONE, "speak TLS", OBJECT(&TLS_OBJECT)),
    KEY("tokens", BOOL,
        "everything but /healthz and /readyz needs a token; without, reading needs none and what "
        "changes something does",
        WORDS("false")),
};
static const struct schema_object HTTP_OBJECT = {
    .name = "http",
    .help = "The HTTP interface for people and programs, beside the control socket.",
    KEYS(HTTP_KEYS),
};

static const struct schema_entry AUTH_KEYS[] = {
    KEY("tokens", SECRET,
        "tokens beside those of kpictl token: lines of a role (ingest, viewer, editor, approver "
        "or admin), a name and the token's SHA-256 in hex; read at start and by a reload",
        OBJECT(&SCHEMA_SECRET_SOURCE)),
};
static const struct schema_object AUTH_OBJECT = {
    .name = "auth",
    .help = "Who has tokens.",
    KEYS(AUTH_KEYS),
};

static const struct schema_entry LIMITS_KEYS[] = {
    KEY("series", COUNT,
        "series in all that had a sample in the last 24 hours; beyond it samples of further ones "
        "join __other__ of their metric",
        DEFAULT("1000000")),
    KEY("series_per_metric", COUNT, "the same of one metric", DEFAULT("100000")),
    KEY("label_values", COUNT, "values of one label of a metric, in the same time",
        DEFAULT("50000")),
    KEY("line", SIZE, "bytes of one line", DEFAULT("64K")),
    KEY("frame", SIZE,
        "bytes of one frame: a pickle of graphite_pickle, a packet of dogstatsd on a Unix stream, "
        "a batch of the native protocol; a longer one closes its connection",
        DEFAULT("4M")),
    KEY("body", SIZE, "bytes of one HTTP body, unpacked; a larger one is refused", DEFAULT("32M")),
    KEY("request", SPAN,
        "an HTTP request of a listener, or a frame of the native protocol, is here in so long, or "
        "refused; so is another long line or frame while somebody waits for its room",
        DEFAULT("1m")),
    KEY("connections", COUNT, "open streams in all; a new one beyond it is closed",
        DEFAULT("10000")),
    KEY("connections_per_peer", COUNT,
        "the same from one address, of IPv6 from one /64; this machine's own are not limited",
        DEFAULT("1000")),
    KEY("idle", SPAN, "a stream that says nothing for so long is closed; 0s: never", DEFAULT("1h")),
};
static const struct schema_object LIMITS_OBJECT = {
    .name = "limits",
    .help = "What clients can make grow, and how far.",
    KEYS(LIMITS_KEYS),
};

static const struct schema_entry SERVER_KEYS[] = {
    KEY("control", TEXT, "the Unix socket for kpictl; a change needs a restart",
        WORDS("kpid.sock in $RUNTIME_DIRECTORY, else in /run/kpid")),
    KEY("http", NONE, "the HTTP interface", OBJECT(&HTTP_OBJECT)),
    KEY("auth", NONE, "who has tokens", OBJECT(&AUTH_OBJECT)),
    KEY("limits", NONE, "what clients can make grow, and how far", OBJECT(&LIMITS_OBJECT)),
    KEY("threads", WHOLE, "ingest threads, 1 to 64; a change needs a restart", ONE_OF("auto"),
        WORDS("auto: one for each core, at most 8")),
    KEY("own_metrics", BOOL,
        "kpid posts what it counts of itself as metrics that KPIs can have a target on, as "
        "kpid_samples_rejected_total by listener and reason: see OWN METRICS",
        WORDS("true if a KPI names one of them")),
};
static const struct schema_object SERVER_OBJECT = {
    .name = "server",
    .help = "The daemon itself.",
    KEYS(SERVER_KEYS),
};

static const struct schema_entry LISTENER_KEYS[] = {
    KEY("protocol", CHOICE, "what is spoken there", REQUIRED,
        ONE_OF("statsd", "dogstatsd", "graphite", "graphite_pickle", "influx", "prometheus", "otlp",
               "native", "json", "collectd")),
    KEY("listen", TEXT,
        "SCHEME:ADDRESS with the scheme udp, tcp, unix, unixgram or http, as udp:127.0.0.1:8125 or "
        "unix:/run/kpid/statsd.sock; localhost is 127.0.0.1, other names are not looked up; no two "
        "of tcp, http and server.http have one port of an address, nor two of udp",
        REQUIRED),
    KEY("mode", TEXT,
        "unix and unixgram: permissions of the socket's file, in octal up to 0777; who may write "
        "to it may send",
        WORDS("0660")),
    KEY("max_series", COUNT,
        "series that this listener may bring, of those that had a sample in the last 24 hours; "
        "beyond it its samples of further ones join __other__ of their metric, while those of "
        "series that any listener has brought are taken",
        WORDS("as many as server.limits.series")),
    KEY("precision", CHOICE,
        "influx over udp, tcp or unix: the unit of the times in its lines; over http a request "
        "says it",
        ONE_OF("ns", "us", "ms", "s", "m", "h"), WORDS("ns")),
    KEY("unknown_as_counter", BOOL,
        "statsd: a type that kpid does not know counts as a counter, as for etsy's server; else "
        "such a line is rejected",
        WORDS("false")),
    KEY("skip_single_field", BOOL,
        "influx: a field value that is alone in its line is not part of the metric's name",
        WORDS("false")),
    KEY("resource_labels", TEXT,
        "otlp: the attributes of a resource that become labels; otel.scope.name and "
        "otel.scope.version are those of the scope",
        LIST,
        WORDS("service.name, service.namespace, service.instance.id, deployment.environment, "
              "deployment.environment.name and host.name; without a service.instance.id also "
              "k8s.pod.name, container.id and process.pid")),
    KEY("allow", TEXT,
        "networks and addresses that may send, as 10.0.0.0/8; the connections of others are "
        "closed, their datagrams dropped",
        LIST, WORDS("all")),
    KEY("tls", NONE, "tcp and http: speak TLS", OBJECT(&TLS_OBJECT)),
    KEY("tokens", BOOL, "http and native: a client needs a token that may send samples",
        WORDS("false")),
    KEY("users", TEXT, "unix: users of this machine that may send, by name or number; at least one",
        LIST, WORDS("whoever may open the socket's file")),
};
static const struct schema_object LISTENER_OBJECT = {
    .name = "listener",
    .help = "Where samples come in. A section ingest replaces the default listeners, statsd on "
            "udp:127.0.0.1:8125 and native on ingest.sock beside the control socket. There are "
            "at most 256.",
    KEYS(LISTENER_KEYS),
    .consequence = "this listener is not opened",
};

static const struct schema_entry MAPPING_KEYS[] = {
    KEY("match", TEXT, "a dotted name; * is any one part, host* one that begins so, ** one or more",
        REQUIRED),
    KEY("name", TEXT, "the metric's name; $1 to $9 are what the stars stood for", WORDS("as sent")),
    KEY("labels", TEXT, "label to value, with $1 to $9; one that was sent stays as it was sent",
        NAMES),
    KEY("drop", BOOL, "throw it away, counted as dropped", WORDS("false")),
};
static const struct schema_object MAPPING_OBJECT = {
    .name = "mapping",
    .help = "Turns dotted names into names and labels, of whatever protocol; the first match wins. "
            "Metrics are then called by the new name everywhere, as under metrics.",
    KEYS(MAPPING_KEYS),
};

static const struct schema_entry KEEP_KEYS[] = {
    KEY("bucket_1m", SPAN, "minutes", ONE_OF("forever"), DEFAULT("14d")),
    KEY("bucket_15m", SPAN, "quarter hours", ONE_OF("forever"), DEFAULT("400d")),
    KEY("day", SPAN, "civil days of each calendar", ONE_OF("forever"), DEFAULT("forever")),
    KEY("audit", SPAN, "who decided what", ONE_OF("forever"), WORDS("forever"), LATER),
    KEY("views", SPAN, "what was looked at", ONE_OF("forever"), WORDS("400d"), LATER),
};
static const struct schema_object KEEP_OBJECT = {
    .name = "keep",
    .help = "How long each level of detail is kept.",
    KEYS(KEEP_KEYS),
};

static const struct schema_entry DEDUPE_KEYS[] = {
    KEY("max_future", SPAN, "a sample further ahead of the clock is rejected", DEFAULT("10m")),
    KEY("max_past", SPAN, "an older sample is rejected", DEFAULT("400d")),
};
static const struct schema_object DEDUPE_OBJECT = {
    .name = "dedupe",
    .help = "Which times samples may carry.",
    KEYS(DEDUPE_KEYS),
};

static const struct schema_entry STORAGE_KEYS[] = {
    KEY("path", TEXT, "the data directory; a change needs a restart",
        WORDS("$STATE_DIRECTORY, else /var/lib/kpid")),
    KEY("keep", NONE, "how long each level of detail is kept", OBJECT(&KEEP_OBJECT)),
    KEY("churn_after", SPAN,
        "series without a sample for so long, of metrics that no KPI names, join __other__ of "
        "their metric",
        ONE_OF("forever"), DEFAULT("90d")),
    KEY("max_size", SIZE, "input is refused when the data is larger; a change needs a restart",
        DEFAULT("10G")),
    KEY("dedupe", NONE, "which times samples may carry", OBJECT(&DEDUPE_OBJECT)),
};
static const struct schema_object STORAGE_OBJECT = {
    .name = "storage",
    .help = "Where and how long the data stays.",
    KEYS(STORAGE_KEYS),
};

/* --- calendars and metrics ---------------------------------------------------------------------
 */

static const struct schema_entry FISCAL_YEAR_KEYS[] = {
    KEY("starts", TEXT, "its first day, as 04-01"),
    KEY("label", CHOICE, "the year it is named after", ONE_OF("start", "end")),
    KEY("weeks", TEXT, "years of whole weeks, as 4-4-5"),
};
static const struct schema_object FISCAL_YEAR_OBJECT = {
    .name = "fiscal_year",
    .help = "The fiscal year.",
    KEYS(FISCAL_YEAR_KEYS),
};

static const struct schema_entry HOLIDAY_KEYS[] = {
    KEY("file", TEXT, "an iCalendar file; all-day events count"),
    KEY("date", DATE, "one day, or a day of every year as 12-24"),
    KEY("from", DATE, "the first day"),
    KEY("to", DATE, "the last day"),
    KEY("name", TEXT, "its name"),
};
static const struct schema_object HOLIDAY_OBJECT = {
    .name = "holiday",
    .help = "Days off.",
    KEYS(HOLIDAY_KEYS),
};

static const struct schema_entry CALENDAR_KEYS[] = {
    KEY("timezone", TEXT, "an IANA zone, as Europe/Berlin", WORDS("that of extends")),
    KEY("week_start", CHOICE, "the first day of a week", DEFAULT("monday"),
        ONE_OF("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")),
    KEY("week_label", CHOICE, "how weeks are numbered", ONE_OF("iso"), KEPT),
    KEY("weekend", CHOICE, "days that are no business days", LIST, LATER,
        ONE_OF("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")),
    KEY("fiscal_year", NONE, "when it starts and what it is called", OBJECT(&FISCAL_YEAR_OBJECT),
        LATER),
    KEY("holidays", NONE, "days off", OBJECT(&HOLIDAY_OBJECT), LIST, LATER),
    KEY("hours", TEXT, "business hours, as \"mon..fri 08:00-18:00\"", LIST, LATER),
    KEY("extends", ID, "the calendar that has what this one does not say"),
};
static const struct schema_object CALENDAR_OBJECT = {
    .name = "calendar",
    .help = "Days, weeks and months in a time zone. It needs timezone or extends.",
    KEYS(CALENDAR_KEYS),
};

static const struct schema_entry ASK_KEYS[] = {
    KEY("who", ID, "people", ONE_OR_LIST),
    KEY("schedule", SCHEDULE, "when", OBJECT(&SCHEMA_SCHEDULE_MAP)),
};
static const struct schema_object ASK_OBJECT = {
    .name = "ask",
    .help = "Who types the value in, and when they are asked.",
    KEYS(ASK_KEYS),
};

static const struct schema_entry METRIC_KEEP_KEYS[] = {
    KEY("bucket_1m", SPAN, "minutes", ONE_OF("forever"), WORDS("that of storage.keep")),
    KEY("bucket_15m", SPAN, "quarter hours", ONE_OF("forever"), WORDS("that of storage.keep")),
    KEY("day", SPAN, "civil days of each calendar", ONE_OF("forever"),
        WORDS("that of storage.keep")),
};
static const struct schema_object METRIC_KEEP_OBJECT = {
    .name = "metric_keep",
    .help =
        "How long this metric's levels of detail are kept, where that is not as long as others.",
    KEYS(METRIC_KEEP_KEYS),
};

static const struct schema_entry METRIC_KEYS[] = {
    KEY("type", CHOICE, "what its samples are; it beats what the protocol says", REQUIRED,
        ONE_OF("counter", "gauge", "distribution", "unique", "score", "untyped")),
    KEY("unit", TEXT, "of its values: h, ms, EUR, GiB, %, or a noun as customers"),
    KEY("labels", TEXT, "labels it has", LIST, KEPT),
    KEY("max_series", COUNT,
        "series of this metric that had a sample in the last 24 hours; beyond it samples of further "
        "ones join __other__ of the metric",
        WORDS("server.limits.series_per_metric")),
    KEY("over_labels", CHOICE, "how a gauge's series are combined",
        ONE_OF("sum", "avg", "min", "max"), WORDS("sum; avg for %, points and time")),
    KEY("over_time", CHOICE, "how a gauge is combined over time", LATER,
        ONE_OF("last", "avg", "min", "max")),
    KEY("every", SPAN, "how often data comes"),
    KEY("stale_after", SPAN, "its longest normal silence; later its KPIs have no data",
        WORDS("1.5 times every")),
    KEY("late", SPAN, "how late samples may arrive: what it belongs to settles so long"),
    KEY("reset", CHOICE,
        "of a counter: its samples are increments, or a running total of which differences count",
        DEFAULT("delta"), ONE_OF("delta", "cumulative")),
    KEY("range", WHOLE, "of a score: the lowest and the highest value", LIST),
    KEY("min", NUMBER,
        "of a gauge: changes by steps, as StatsD's -5, do not take its level below, and the next "
        "step starts from there; a level that is sent as such stands",
        WORDS("none")),
    KEY("keep", NONE, "how long its data is kept", OBJECT(&METRIC_KEEP_OBJECT)),
    KEY("ask", NONE, "who types the value in", OBJECT(&ASK_OBJECT), LATER),
};
static const struct schema_object METRIC_OBJECT = {
    .name = "metric",
    .help = "What is ingested. A metric that is not declared works too; declared ones are checked "
            "and are 0, not unknown, while nothing comes.",
    KEYS(METRIC_KEYS),
};

/* --- KPIs and targets --------------------------------------------------------------------------
 */

static const struct schema_entry FROM_KEYS[] = {
    KEY("value", QUANTITY, "the number"),
    KEY("period", TEXT, "the period whose figure it is, as FY2025"),
    KEY("note", TEXT, "where it comes from"),
};
static const struct schema_object FROM_OBJECT = {
    .name = "from",
    .help = "The figure a target starts from.",
    KEYS(FROM_KEYS),
};

static const struct schema_entry PATH_KEYS[] = {
    KEY("steps", QUANTITY, "period to the value at its end", NAMES),
};
static const struct schema_object PATH_OBJECT = {
    .name = "path",
    .help = "A path in steps.",
    KEYS(PATH_KEYS),
};

static const struct schema_entry THRESHOLDS_KEYS[] = {
    KEY("on_track", NUMBER, "pace from which a total is on track", DEFAULT("0.95")),
    KEY("at_risk", NUMBER, "pace from which a total is at risk, not behind", DEFAULT("0.75")),
    KEY("quiet", SPAN, "no verdict so long after the start", DRAFTS),
};
static const struct schema_object THRESHOLDS_OBJECT = {
    .name = "thresholds",
    .help = "Where on_track and at_risk begin. What hangs on quiet is a draft.",
    KEYS(THRESHOLDS_KEYS),
    .consequence = "this target is a draft",
};

static const struct schema_entry VERSION_KEYS[] = {
    KEY("since", DATE, "its first day", REQUIRED),
    KEY("to", QUANTITY, "the number since then"),
    KEY("reason", TEXT, "why it changed"),
    KEY("approved", ID, "who approved it"),
};
static const struct schema_object VERSION_OBJECT = {
    .name = "version",
    .help = "A target's number over time.",
    KEYS(VERSION_KEYS),
};

/* Keys of a target, inline or in the section targets. */
static const struct schema_entry TARGET_COMMON_KEYS[] = {
    KEY("at_least", QUANTITY, "short for kind: at_least, to: NUMBER"),
    KEY("at_most", QUANTITY, "short for kind: at_most, to: NUMBER"),
    KEY("between", QUANTITY, "stay inside: [low, high]", LIST, DRAFTS),
    KEY("hold", QUANTITY, "stay at it, within a tolerance", DRAFTS),
    KEY("increase_to", QUANTITY, "grow to it", DRAFTS),
    KEY("decrease_to", QUANTITY, "shrink to it", DRAFTS),
    KEY("kind", CHOICE, "the kind, where it is not the key itself",
        ONE_OF("at_least", "at_most", "between", "hold", "increase_to", "decrease_to"),
        SOME("between", "hold", "increase_to", "decrease_to")),
    KEY("to", QUANTITY, "the number, with kind; [low, high] for between", ONE_OR_LIST),
    KEY("goal", ID, "the goal it is for", KEPT),
    KEY("from", QUANTITY, "the figure it starts from", OBJECT(&FROM_OBJECT), DRAFTS),
    KEY("start", DATE, "its first day", DRAFTS),
    KEY("by", DATE, "the deadline", DRAFTS),
    KEY("every", CHOICE, "the period it recurs each", WORDS("the KPI's period"),
        ONE_OF("minute", "hour", "day", "week", "month", "quarter", "half", "year", "fiscal_month",
               "fiscal_quarter", "fiscal_half", "fiscal_year"),
        SOME("fiscal_month", "fiscal_quarter", "fiscal_half", "fiscal_year")),
    KEY("measured", TEXT, "which figure is compared at the deadline", DRAFTS),
    KEY("path", CHOICE, "how the figure is expected to move", DEFAULT("auto"), OBJECT(&PATH_OBJECT),
        ONE_OF("auto", "linear", "business_days", "seasonal", "last_year"),
        SOME("business_days", "seasonal", "last_year")),
    KEY("commit", QUANTITY, "the number below which it counts as missed", DRAFTS),
    KEY("strict", BOOL, "the number itself is a miss", DEFAULT("false")),
    KEY("within", QUANTITY, "with hold: how far it may stray", DRAFTS),
    KEY("tolerance", QUANTITY, "a level or mean that misses by no more is at risk, not behind",
        DEFAULT("5%")),
    KEY("thresholds", NONE, "where on_track and at_risk begin", OBJECT(&THRESHOLDS_OBJECT)),
    KEY("relative", BOOL, "with a number as +5%: of the figure, not in points", DRAFTS),
    KEY("each", TEXT, "judge every value of these labels apart", LIST, DRAFTS),
    KEY("basis", TEXT, "where the number comes from", KEPT),
    KEY("say", TEXT, "the target as a sentence", LATER),
    KEY("state", CHOICE, "whether it is judged", DEFAULT("active"),
        ONE_OF("draft", "active", "retired")),
    KEY("managed", CHOICE, "where it is decided", DEFAULT("file"), ONE_OF("file", "cli"),
        SOME("cli")),
    KEY("versions", NONE, "its number over time", OBJECT(&VERSION_OBJECT), LIST, DRAFTS),
};
static const struct schema_object INLINE_TARGET_OBJECT = {
    .name = "inline_target",
    .help = "A target inside its KPI: the kind is the key, as { at_least: 100 }.",
    KEYS(TARGET_COMMON_KEYS),
    .consequence = "this target is a draft",
};

static const struct schema_entry TARGET_KEYS[] = {
    KEY("kpi", ID, "the KPI it is for", REQUIRED),
};
static const struct schema_object TARGET_OBJECT = {
    .name = "target",
    .help = "A number to hit: kind and to, or short as at_least: NUMBER.",
    KEYS(TARGET_KEYS),
    .base = &INLINE_TARGET_OBJECT,
    .consequence = "this target is a draft",
};

static const struct schema_entry NO_DATA_KEYS[] = {
    KEY("after", SPAN, "how long the figure is unknown before", .words = true),
    KEY("do", CHOICE, "what happens then", ONE_OF("alert", "keep_last", "ok", "ignore")),
};
static const struct schema_object NO_DATA_OBJECT = {
    .name = "no_data",
    .help = "What happens when there is no data.",
    KEYS(NO_DATA_KEYS),
};

static const struct schema_entry ESCALATE_KEYS[] = {
    KEY("after", SPAN, "how long it fires before", .words = true),
    KEY("unless", CHOICE, "what stops it", ONE_OF("acked")),
    KEY("hooks", ID, "who is told", ONE_OR_LIST),
};
static const struct schema_object ESCALATE_OBJECT = {
    .name = "escalate",
    .help = "Who is told when nobody acts.",
    KEYS(ESCALATE_KEYS),
};

/* Keys of a rule, inline or in the section rules. */
static const struct schema_entry ALERT_KEYS[] = {
    KEY("when", CONDITION, "the condition", WORDS("breached, for a rule on a target")),
    KEY("recover", CONDITION, "the condition that ends it", WORDS("when is false")),
    KEY("for", SPAN, "how long the condition holds before it fires",
        WORDS("0s; 1d for at_least on a total over a longer period than a day"), .words = true),
    KEY("severity", CHOICE, "how bad it is", DEFAULT("warning"),
        ONE_OF("info", "warning", "critical")),
    KEY("evaluate", SCHEDULE, "when it is judged", WORDS("every 1m"), OBJECT(&SCHEMA_SCHEDULE_MAP)),
    KEY("hooks", ID, "who is told", ONE_OR_LIST, WORDS("defaults.hooks")),
    KEY("text", TEMPLATE, "the message", WORDS("TITLE: FIGURE, target NUMBER (PERIOD)")),
    KEY("do", TEXT, "what to do about it"),
    KEY("mute", ID, "when nothing is told", ONE_OR_LIST, LATER),
};
static const struct schema_object INLINE_ALERT_OBJECT = {
    .name = "inline_alert",
    .help = "What makes a KPI's or rule's alert.",
    KEYS(ALERT_KEYS),
    .consequence = "this rule never fires",
};

static const struct schema_entry LEADS_KEYS[] = {
    KEY("kpi", ID, "what it leads", REQUIRED),
    KEY("lag", SPAN, "by how long"),
    KEY("expect", CHOICE, "the sign of the correlation", ONE_OF("positive", "negative")),
    KEY("recheck", TEXT, "how often that is checked"),
};
static const struct schema_object LEADS_OBJECT = {
    .name = "leads",
    .help = "The KPI this one moves before.",
    KEYS(LEADS_KEYS),
};

static const struct schema_entry KPI_KEYS[] = {
    KEY("value", FORMULA, "the formula, as sum(failed) / sum(requests)", REQUIRED),
    KEY("title", TEXT, "its name for people", WORDS("the id with spaces")),
    KEY("define", TEXT, "what exactly is counted"),
    KEY("why", TEXT, "what it is good for"),
    KEY("unit", TEXT, "in which it is shown and compared", WORDS("what follows from the formula")),
    KEY("better", CHOICE, "the good direction", ONE_OF("up", "down"),
        WORDS("from the target: at_least is up, at_most is down")),
    KEY("period", CHOICE, "the span it is measured over", DEFAULT("day"),
        ONE_OF("minute", "hour", "day", "week", "month", "quarter", "half", "year", "fiscal_month",
               "fiscal_quarter", "fiscal_half", "fiscal_year"),
        SOME("fiscal_month", "fiscal_quarter", "fiscal_half", "fiscal_year")),
    KEY("window", SPAN, "a trailing span instead of the period", DRAFTS),
    KEY("target", NONE, "a number to hit; it gets the KPI's id", OBJECT(&INLINE_TARGET_OBJECT)),
    KEY("goal", ID, "the goal it is for", KEPT),
    KEY("owner", ID, "who answers for it"),
    KEY("team", ID, "whose it is", KEPT),
    KEY("level", CHOICE, "how high it stands", KEPT,
        ONE_OF("company", "function", "team", "individual", "project", "campaign", "process",
               "tool")),
    KEY("perspective", TEXT, "of the balanced scorecard", KEPT),
    KEY("measures", CHOICE, "what kind of thing it measures", KEPT,
        ONE_OF("result", "activity", "input")),
    KEY("direct", BOOL, "false: a proxy", KEPT),
    KEY("proxy_for", TEXT, "what it stands in for", KEPT),
    KEY("settle", SPAN, "how long after its end a period still moves",
        WORDS("the longest late of its metrics, else 5m")),
    KEY("min_denominator", NUMBER, "a ratio over less is insufficient",
        WORDS("30 for a ratio over countable things, else 1")),
    KEY("min_count", NUMBER, "fewer samples are insufficient",
        WORDS("20 for percentiles, shares and scores, else 1")),
    KEY("by", TEXT, "labels it is broken down by", LIST, LATER, .nested = true),
    KEY("also", FORMULA, "further figures beside it", IDS, LATER),
    KEY("guard", ID, "KPIs that must not suffer from it", ONE_OR_LIST, LATER),
    KEY("guardrail", BOOL, "it is a guard itself", KEPT),
    KEY("leads", NONE, "the KPI this one moves before", OBJECT(&LEADS_OBJECT), LATER),
    KEY("calendar", ID, "whose days and weeks", WORDS("the default calendar")),
    KEY("state", CHOICE, "whether it is judged", DEFAULT("active"),
        ONE_OF("draft", "active", "paused", "retired")),
    KEY("revisit", TEXT, "when to ask whether it is still the right one", KEPT),
    KEY("visible", TEXT, "who may see it", ONE_OR_LIST, LATER),
    KEY("tags", TEXT, "words to find it by", LIST, KEPT),
    KEY("renamed_from", ID, "its id before, so that history follows", LATER),
};
static const struct schema_object KPI_OBJECT = {
    .name = "kpi",
    .help = "A named formula over metrics. A text alone is { value: TEXT }. The keys of an inline "
            "alert become a rule with the KPI's id.",
    KEYS(KPI_KEYS),
    .base = &INLINE_ALERT_OBJECT,
    .consequence = "this KPI is a draft",
};

/* --- rules, defaults and hooks -----------------------------------------------------------------
 */

static const struct schema_entry RULE_KEYS[] = {
    KEY("kpi", ID, "the KPI it is about"),
    KEY("target", ID, "the target it is about"),
    KEY("metric", METRIC, "the metric it is about", DRAFTS),
    KEY("hold", SPAN, "how long it must have recovered before it ends", DEFAULT("0s"),
        .words = true),
    KEY("runbook", TEXT, "a link that goes into the message"),
    KEY("no_data", NONE, "what happens when there is no data", OBJECT(&NO_DATA_OBJECT), LATER),
    KEY("repeat", SPAN, "how often it is told again while it fires", LATER, .words = true),
    KEY("repeat_on", TEXT, "the days on which it is", LATER),
    KEY("resolve", BOOL, "tell the end too", LATER),
    KEY("group_by", TEXT, "what splits a common message", LIST, LATER),
    KEY("group_wait", SPAN, "how long a common message waits", LATER),
    KEY("escalate", NONE, "who is told when nobody acts", OBJECT(&ESCALATE_OBJECT), LATER),
    KEY("inhibit_if", ID, "rules that hold this one back while they fire", ONE_OR_LIST, LATER),
    KEY("depends_on", ID, "KPIs without which it says nothing", ONE_OR_LIST, LATER),
    KEY("each", TEXT, "judge every value of these labels apart", LIST, DRAFTS),
    KEY("max_instances", WHOLE, "of each", LATER),
    KEY("calendar", ID, "whose business days", LATER),
    KEY("period", TEXT, "another period than the KPI's", DRAFTS),
};
static const struct schema_object RULE_OBJECT = {
    .name = "rule",
    .help = "A condition that becomes an alert: on one of kpi, target or metric.",
    KEYS(RULE_KEYS),
    .base = &INLINE_ALERT_OBJECT,
    .consequence = "this rule never fires",
};

static const struct schema_entry RETRY_KEYS[] = {
    KEY("first", SPAN, "after the first failure; it doubles from there", DEFAULT("5s")),
    KEY("max", SPAN, "at most between two attempts", DEFAULT("1h")),
    KEY("give_up", SPAN, "after the first attempt; the message is then dead", DEFAULT("24h")),
    KEY("jitter", PERCENT, "by how much the waits vary", DEFAULT("20%")),
};
static const struct schema_object RETRY_OBJECT = {
    .name = "retry",
    .help = "What happens when a receiver does not take a message. Its Retry-After wins.",
    KEYS(RETRY_KEYS),
};

static const struct schema_entry HOOK_DEFAULTS_KEYS[] = {
    KEY("timeout", SPAN, "of one attempt", DEFAULT("20s")),
    KEY("retry", NONE, "what happens when a receiver does not take a message",
        OBJECT(&RETRY_OBJECT)),
    KEY("rate", TEXT, "type of hook to messages in a time, as slack: 1/s", NAMES, LATER),
};
static const struct schema_object HOOK_DEFAULTS_OBJECT = {
    .name = "hook_defaults",
    .help = "What hooks have that do not say it themselves.",
    KEYS(HOOK_DEFAULTS_KEYS),
};

static const struct schema_entry KPI_DEFAULTS_KEYS[] = {
    KEY("period", CHOICE, "as in a KPI", DEFAULT("day"),
        ONE_OF("minute", "hour", "day", "week", "month", "quarter", "half", "year", "fiscal_month",
               "fiscal_quarter", "fiscal_half", "fiscal_year"),
        SOME("fiscal_month", "fiscal_quarter", "fiscal_half", "fiscal_year")),
    KEY("calendar", ID, "as in a KPI"),
    KEY("settle", SPAN, "as in a KPI"),
    KEY("min_denominator", NUMBER, "as in a KPI"),
    KEY("min_count", NUMBER, "as in a KPI"),
    KEY("evaluate", SCHEDULE, "as in a KPI", OBJECT(&SCHEMA_SCHEDULE_MAP)),
    KEY("owner", ID, "as in a KPI"),
    KEY("team", ID, "as in a KPI", KEPT),
};
static const struct schema_object KPI_DEFAULTS_OBJECT = {
    .name = "kpi_defaults",
    .help = "What KPIs have that do not say it themselves.",
    KEYS(KPI_DEFAULTS_KEYS),
    .consequence = "KPIs that use it are drafts",
};

static const struct schema_entry RULE_DEFAULTS_KEYS[] = {
    KEY("for", SPAN, "as in a rule", .words = true),
    KEY("hold", SPAN, "as in a rule", .words = true),
    KEY("severity", CHOICE, "as in a rule", ONE_OF("info", "warning", "critical")),
    KEY("evaluate", SCHEDULE, "as in a rule", OBJECT(&SCHEMA_SCHEDULE_MAP)),
    KEY("runbook", TEXT, "as in a rule"),
    KEY("do", TEXT, "as in a rule"),
    KEY("mute", ID, "as in a rule", ONE_OR_LIST, LATER),
    KEY("no_data", NONE, "as in a rule", OBJECT(&NO_DATA_OBJECT), LATER),
    KEY("repeat", SPAN, "as in a rule", LATER, .words = true),
    KEY("repeat_on", TEXT, "as in a rule", LATER),
    KEY("resolve", BOOL, "as in a rule", LATER),
    KEY("group_by", TEXT, "as in a rule", LIST, LATER),
    KEY("group_wait", SPAN, "as in a rule", LATER),
    KEY("escalate", NONE, "as in a rule", OBJECT(&ESCALATE_OBJECT), LATER),
};
static const struct schema_object RULE_DEFAULTS_OBJECT = {
    .name = "rule_defaults",
    .help = "What rules have that do not say it themselves.",
    KEYS(RULE_DEFAULTS_KEYS),
    .consequence = "rules that use it never fire",
};

static const struct schema_entry DEFAULTS_KEYS[] = {
    KEY("hooks", ID, "who is told by KPIs and rules without hooks", ONE_OR_LIST),
    KEY("kpi", NONE, "what KPIs have that do not say it themselves", OBJECT(&KPI_DEFAULTS_OBJECT)),
    KEY("rule", NONE, "what rules have that do not say it themselves",
        OBJECT(&RULE_DEFAULTS_OBJECT)),
    KEY("hook", NONE, "what hooks have that do not say it themselves",
        OBJECT(&HOOK_DEFAULTS_OBJECT)),
};
static const struct schema_object DEFAULTS_OBJECT = {
    .name = "defaults",
    .help = "What objects have that do not say it themselves.",
    KEYS(DEFAULTS_KEYS),
};

static const struct schema_entry SLACK_KEYS[] = {
    KEY("url", SECRET, "the incoming webhook", REQUIRED, OBJECT(&SCHEMA_SECRET_SOURCE)),
    KEY("chart", BOOL, "draw the figure's history", LATER),
    KEY("mention", TEXT, "severity to a person who is called", NAMES, LATER),
};
static const struct schema_object SLACK_OBJECT = {
    .name = "slack", .help = "A channel in Slack.", KEYS(SLACK_KEYS)};

static const struct schema_entry TEAMS_KEYS[] = {
    KEY("url", SECRET, "the workflow's address", REQUIRED, OBJECT(&SCHEMA_SECRET_SOURCE)),
};
static const struct schema_object TEAMS_OBJECT = {
    .name = "teams", .help = "A channel in Microsoft Teams.", KEYS(TEAMS_KEYS)};

static const struct schema_entry CHAT_KEYS[] = {
    KEY("url", SECRET, "the incoming webhook", REQUIRED, OBJECT(&SCHEMA_SECRET_SOURCE)),
    KEY("username", TEXT, "the name messages come from"),
    KEY("channel", TEXT, "another channel than the webhook's"),
};
static const struct schema_object DISCORD_OBJECT = {
    .name = "discord", .help = "A channel in Discord.", KEYS(CHAT_KEYS)};
static const struct schema_object MATTERMOST_OBJECT = {
    .name = "mattermost", .help = "A channel in Mattermost.", KEYS(CHAT_KEYS)};
static const struct schema_object GOOGLECHAT_OBJECT = {
    .name = "googlechat", .help = "A space in Google Chat.", KEYS(CHAT_KEYS)};

static const struct schema_entry TELEGRAM_KEYS[] = {
    KEY("token", SECRET, "the bot's token", REQUIRED, OBJECT(&SCHEMA_SECRET_SOURCE)),
    KEY("chat_id", TEXT, "the chat", REQUIRED),
    KEY("thread_id", TEXT, "the topic in it"),
};
static const struct schema_object TELEGRAM_OBJECT = {
    .name = "telegram", .help = "A chat in Telegram.", KEYS(TELEGRAM_KEYS)};

static const struct schema_entry PAGERDUTY_KEYS[] = {
    KEY("routing_key", SECRET, "of the service", REQUIRED, OBJECT(&SCHEMA_SECRET_SOURCE)),
};
static const struct schema_object PAGERDUTY_OBJECT = {
    .name = "pagerduty", .help = "A service in PagerDuty.", KEYS(PAGERDUTY_KEYS)};

static const struct schema_entry NTFY_KEYS[] = {
    KEY("url", TEXT, "the server", REQUIRED, OBJECT(&SCHEMA_SECRET_SOURCE)),
    KEY("topic", TEXT, "the topic", REQUIRED),
    KEY("token", SECRET, "an access token", OBJECT(&SCHEMA_SECRET_SOURCE)),
};
static const struct schema_object NTFY_OBJECT = {
    .name = "ntfy", .help = "A topic of ntfy.", KEYS(NTFY_KEYS)};

static const struct schema_entry EMAIL_KEYS[] = {
    KEY("to", TEXT, "who gets it", ONE_OR_LIST, REQUIRED),
    KEY("cc", TEXT, "who gets a copy", ONE_OR_LIST),
    KEY("subject", TEMPLATE, "the subject"),
};
static const struct schema_object EMAIL_OBJECT = {
    .name = "email", .help = "An e-mail by the section smtp.", KEYS(EMAIL_KEYS)};

static const struct schema_entry EXEC_KEYS[] = {
    KEY("argv", TEXT, "the program and its arguments; no shell", LIST, REQUIRED),
    KEY("env", TEXT, "environment variables it may see", LIST),
};
static const struct schema_object EXEC_HOOK_OBJECT = {
    .name = "exec", .help = "A program that gets the event on its input.", KEYS(EXEC_KEYS)};

static const struct schema_entry WEBHOOK_KEYS[] = {
    KEY("url", TEXT, "where to post; a secret source too", REQUIRED, OBJECT(&SCHEMA_SECRET_SOURCE)),
    KEY("format", CHOICE, "what is posted", DEFAULT("standard"),
        ONE_OF("standard", "alertmanager", "template"), SOME("alertmanager", "template")),
    KEY("secrets", SECRET, "whsec_... of which all sign, the newest first", ONE_OR_LIST,
        OBJECT(&SCHEMA_SECRET_SOURCE)),
    KEY("method", TEXT, "of the template format", LATER),
    KEY("headers", TEXT, "of the template format", NAMES, LATER),
    KEY("body", TEMPLATE, "of the template format", LATER),
};
static const struct schema_object WEBHOOK_OBJECT = {
    .name = "webhook",
    .help = "An HTTP POST, signed by the rules of Standard Webhooks.",
    .consequence = "this hook sends nothing",
    KEYS(WEBHOOK_KEYS)};

static const struct schema_entry ALERTMANAGER_KEYS[] = {
    KEY("url", TEXT, "its address", REQUIRED, OBJECT(&SCHEMA_SECRET_SOURCE)),
};
static const struct schema_object ALERTMANAGER_OBJECT = {
    .name = "alertmanager",
    .help = "Alerts into a Prometheus Alertmanager.",
    KEYS(ALERTMANAGER_KEYS)};

static const struct schema_entry HOOK_KEYS[] = {
    KEY("type", CHOICE, "what it is", REQUIRED,
        ONE_OF("slack", "webhook", "teams", "discord", "mattermost", "googlechat", "telegram",
               "pagerduty", "ntfy", "email", "exec", "alertmanager"),
        SOME("teams", "discord", "mattermost", "googlechat", "telegram", "pagerduty", "ntfy",
             "email", "exec", "alertmanager")),
    KEY("timeout", SPAN, "of one attempt", DEFAULT("20s")),
    KEY("retry", NONE, "what happens when the receiver does not take a message",
        OBJECT(&RETRY_OBJECT)),
    KEY("rate", TEXT, "messages in a time, as 1/s", LATER),
    KEY("template", TEMPLATE, "the message", LATER),
    KEY("allow_http", BOOL, "http to another host than this one", DEFAULT("false")),
};
static const struct schema_object *const HOOK_VARIANTS[] = {&SLACK_OBJECT,
                                                            &WEBHOOK_OBJECT,
                                                            &TEAMS_OBJECT,
                                                            &DISCORD_OBJECT,
                                                            &MATTERMOST_OBJECT,
                                                            &GOOGLECHAT_OBJECT,
                                                            &TELEGRAM_OBJECT,
                                                            &PAGERDUTY_OBJECT,
                                                            &NTFY_OBJECT,
                                                            &EMAIL_OBJECT,
                                                            &EXEC_HOOK_OBJECT,
                                                            &ALERTMANAGER_OBJECT,
                                                            NULL};
static const struct schema_object HOOK_OBJECT = {
    .name = "hook",
    .help = "Where messages go.",
    KEYS(HOOK_KEYS),
    .variant_key = "type",
    .variants = HOOK_VARIANTS,
    .consequence = "this hook sends nothing",
};

/* --- the file ----------------------------------------------------------------------------------
 */

static const struct schema_entry ROOT_KEYS[] = {
    KEY("kpid", WHOLE, "the version of the language: 1", KEPT),
    KEY("include", TEXT, "files to read too; patterns as conf.d/*.yaml, relative to this file",
        ONE_OR_LIST, KEPT),
    KEY("organisation", NONE, "whose KPIs these are", OBJECT(&ORGANISATION_OBJECT)),
    KEY("server", NONE, "the daemon itself", OBJECT(&SERVER_OBJECT)),
    KEY("ingest", NONE, "where samples come in", OBJECT(&LISTENER_OBJECT), LIST),
    KEY("mapping", NONE, "turns dotted names into names and labels", OBJECT(&MAPPING_OBJECT), LIST),
    KEY("storage", NONE, "where and how long the data stays", OBJECT(&STORAGE_OBJECT)),
    KEY("calendars", NONE, "time zones and weeks", OBJECT(&CALENDAR_OBJECT), IDS),
    KEY("people", NONE, "who answers for what", OBJECT(&SCHEMA_PERSON), IDS, LATER),
    KEY("teams", NONE, "who works together", OBJECT(&SCHEMA_TEAM), IDS, LATER),
    KEY("metrics", NONE, "what is ingested", OBJECT(&METRIC_OBJECT), NAMES),
    KEY("collect", NONE, "programs whose output is ingested", OBJECT(&SCHEMA_COLLECTOR), IDS,
        LATER),
    KEY("kpis", FORMULA, "the few numbers that matter", OBJECT(&KPI_OBJECT), IDS),
    KEY("goals", NONE, "what the KPIs are for", OBJECT(&SCHEMA_GOAL), IDS, LATER),
    KEY("targets", NONE, "numbers to hit", OBJECT(&TARGET_OBJECT), IDS),
    KEY("schedules", SCHEDULE, "when things run, by name", OBJECT(&SCHEMA_SCHEDULE_MAP), IDS),
    KEY("defaults", NONE, "what objects have that do not say it themselves",
        OBJECT(&DEFAULTS_OBJECT)),
    KEY("rules", NONE, "conditions that become alerts", OBJECT(&RULE_OBJECT), IDS),
    KEY("diagnose", NONE, "where to look when", OBJECT(&SCHEMA_DIAGNOSIS), LIST, LATER),
    KEY("mute", NONE, "when nothing is told", OBJECT(&SCHEMA_MUTE), IDS, LATER),
    KEY("hooks", NONE, "where messages go", OBJECT(&HOOK_OBJECT), IDS),
    KEY("smtp", NONE, "the mail server", OBJECT(&SCHEMA_SMTP), LATER),
    KEY("heartbeat", NONE, "who is told that kpid lives", OBJECT(&SCHEMA_HEARTBEAT), LATER),
    KEY("digests", NONE, "summaries on a schedule", OBJECT(&SCHEMA_DIGEST), IDS, LATER),
    KEY("boards", NONE, "pages of the dashboard", OBJECT(&SCHEMA_BOARD), IDS, LATER),
    KEY("annotations", NONE, "what happened when", OBJECT(&SCHEMA_ANNOTATION), LIST, LATER),
    KEY("lint", NONE, "what kpictl lint says", OBJECT(&SCHEMA_LINT), LATER),
    KEY("tests", NONE, "tests of rules with made-up series", OBJECT(&SCHEMA_TEST), LIST, LATER),
};
const struct schema_object SCHEMA_ROOT = {
    .name = "kpid.yaml",
    .help = "The sections of a file.",
    KEYS(ROOT_KEYS),
};
