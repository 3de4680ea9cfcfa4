// Sends a known set of samples with hot-shots, once:
//   node hot_shots.js PORT udp|tcp BYTES_OF_A_BUFFER
//   node hot_shots.js PATH uds BYTES_OF_A_BUFFER
"use strict";

const StatsD = require("hot-shots");

const [to, protocol, maxBufferSize] = process.argv.slice(2);

Math.random = () => 0; // whatever is sampled is sent

function fail(error) {
  console.error(error);
  process.exit(1);
}

const client = new StatsD({
  ...(protocol === "uds" ? { path: to } : { host: "127.0.0.1", port: Number(to) }),
  protocol,
  maxBufferSize: Number(maxBufferSize),
  bufferFlushInterval: 50,
  prefix: "shop.",
  globalTags: { service: "web" },
  errorHandler: fail,
});

// 14 counters
client.increment("hits");
client.increment("hits", 4, { plan: "pro" });
client.decrement("hits", 2);
client.increment("sampled", 3, 0.5);
for (let i = 0; i < 10; i++) client.increment(["hits"], 1, ["plan:free"]);
// 3 gauges
client.gauge("queue", 7);
client.gauge("queue", -3);
client.gauge("stock", 2.5, { room: "a b" });
// 101 distributions
for (let i = 1; i <= 50; i++) client.histogram("size", i);
for (let i = 1; i <= 50; i++) client.distribution("paid", i / 2, { currency: "EUR" });
client.timing("took", 12.5);
// 4 uniques
client.set("users", "ann");
client.unique("users", "bob");
client.set("users", "ann");
client.unique("users", "c:d");
// an event and a check
client.event("deploy 7", "line\nanother", { alert_type: "success", hostname: "web1" }, ["env:prod"]);
client.check("db.up", client.CHECKS.CRITICAL, { hostname: "db1", message: "no answer" }, ["db:main"]);

client.close((error) => {
  if (error) fail(error);
  console.log(124);
});
