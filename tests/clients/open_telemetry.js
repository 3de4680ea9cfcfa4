// Records the same with OpenTelemetry's SDK three times, and exports after each:
//   node open_telemetry.js URL http|proto delta|cumulative
"use strict";

const { diag, DiagLogLevel } = require("@opentelemetry/api");
const { setGlobalErrorHandler } = require("@opentelemetry/core");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { AggregationType, MeterProvider, PeriodicExportingMetricReader } = require("@opentelemetry/sdk-metrics");

const [url, encoding, temporality] = process.argv.slice(2);
const { OTLPMetricExporter } = require(`@opentelemetry/exporter-metrics-otlp-${encoding}`);
const { AggregationTemporalityPreference } = require("@opentelemetry/exporter-metrics-otlp-http");

function fail(...what) {
  console.error(...what);
  process.exit(1);
}

// A partial success is told as a warning.
diag.setLogger({ error: fail, warn: fail, info() {}, debug() {}, verbose() {} }, DiagLogLevel.WARN);
setGlobalErrorHandler(fail);

async function main() {
  const exporter = new OTLPMetricExporter({
    url,
    compression: encoding === "proto" ? "gzip" : "none",
    temporalityPreference: AggregationTemporalityPreference[temporality.toUpperCase()],
  });
  const provider = new MeterProvider({
    resource: resourceFromAttributes({ "service.name": "shop" }),
    readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3600000 })],
    views: [
      { instrumentName: "size", aggregation: { type: AggregationType.EXPONENTIAL_HISTOGRAM } },
      {
        instrumentName: "took",
        aggregation: { type: AggregationType.EXPLICIT_BUCKET_HISTOGRAM, options: { boundaries: [10, 20, 50] } },
      },
    ],
  });
  const meter = provider.getMeter("shop", "1.0");
  const hits = meter.createCounter("hits");
  const queue = meter.createUpDownCounter("queue");
  const took = meter.createHistogram("took", { unit: "ms" });
  const size = meter.createHistogram("size");
  meter.createObservableGauge("temperature").addCallback((result) => result.observe(21.5, { room: "a" }));

  for (let round = 0; round < 3; round++) {
    hits.add(10, { plan: "pro" });
    hits.add(1, { plan: "free" });
    queue.add(5);
    queue.add(-2);
    for (let i = 1; i <= 40; i++) took.record(i);
    for (let i = 1; i <= 100; i++) size.record(i);
    // The SDK's clock has milliseconds. What is recorded first in the one of its export has its start there
    // too, which says that nobody knows since when it counts: the point counts nothing (O10).
    for (const recorded = Date.now(); Date.now() === recorded;);
    await provider.forceFlush();
  }
  await provider.shutdown();
}

main().catch(fail);
