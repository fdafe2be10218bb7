// Providers of the real SDK for one function, for all three signals, and what they have sent.
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { BatchLogRecordProcessor, LoggerProvider } = require("@opentelemetry/sdk-logs");
const { MeterProvider, PeriodicExportingMetricReader } = require("@opentelemetry/sdk-metrics");
const { BatchSpanProcessor, NodeTracerProvider } = require("@opentelemetry/sdk-trace-node");

const PACKAGES = { grpc: "grpc", "http/protobuf": "proto", "http/json": "http" };
const sent = { spans: 0, logs: 0, points: 0 };

/** The exporter of a signal, which counts what it is given. */
function exporter(protocol, endpoint, signal, name, size) {
  const Exporter = require(`@opentelemetry/exporter-${signal}-otlp-${PACKAGES[protocol]}`)[name];
  const path = { trace: "traces", logs: "logs", metrics: "metrics" }[signal];
  const made = new Exporter({ url: protocol === "grpc" ? endpoint : `${endpoint}/v1/${path}` });
  const send = made.export.bind(made);
  made.export = (batch, done) => {
    sent[path === "traces" ? "spans" : path === "logs" ? "logs" : "points"] += size(batch);
    send(batch, done);
  };
  return made;
}

const pointsOf = ({ scopeMetrics }) => scopeMetrics.flatMap(scope => scope.metrics).flatMap(metric => metric.dataPoints).length;

/** All signals of one function. */
class Telemetry {
  constructor(protocol, endpoint, attributes) {
    const resource = resourceFromAttributes(attributes);
    const count = batch => batch.length;
    const spans = exporter(protocol, endpoint, "trace", "OTLPTraceExporter", count);
    const logs = exporter(protocol, endpoint, "logs", "OTLPLogExporter", count);
    const metrics = exporter(protocol, endpoint, "metrics", "OTLPMetricExporter", pointsOf);
    this.tracers = new NodeTracerProvider({ resource, spanProcessors: [new BatchSpanProcessor(spans)] });
    this.loggers = new LoggerProvider({ resource, processors: [new BatchLogRecordProcessor({ exporter: logs })] });
    this.meters = new MeterProvider({ resource, readers: [new PeriodicExportingMetricReader({ exporter: metrics })] });
    this.tracer = this.tracers.getTracer("exporters");
    this.logger = this.loggers.getLogger("exporters");
    this.invocations = this.meters.getMeter("exporters").createCounter("faas.invocations");
  }

  async shutdown() {
    for (const provider of [this.tracers, this.loggers, this.meters]) await provider.shutdown();
  }
}

/** What the resource detectors of AWS Lambda say of a function. */
const lambdaAttributes = name => ({
  "service.name": name,
  "cloud.provider": "aws",
  "cloud.platform": "aws_lambda",
  "cloud.region": "eu-west-1",
  "faas.name": name,
  "faas.version": "$LATEST",
  "faas.instance": `2026/01/01/[$LATEST]${name}`,
});

/** Tells the test what was sent, and the ids of traces to look at. */
const report = (...traces) => console.log(JSON.stringify({ ...sent, traces }));

module.exports = { Telemetry, lambdaAttributes, report };
