// A CloudEvent for a function of Google's functions framework: `framework.js PROTOCOL ENDPOINT`.
const { W3CTraceContextPropagator } = require("@opentelemetry/core");
const { propagation } = require("@opentelemetry/api");
const { registerInstrumentations } = require("@opentelemetry/instrumentation");
const { HttpInstrumentation } = require("@opentelemetry/instrumentation-http");
const { Telemetry, report } = require("./telemetry");

const [protocol, endpoint] = process.argv.slice(2);
const TRACE = "0af7651916cd43dd8448eb211c80319c";
const telemetry = new Telemetry(protocol, endpoint, {
  "service.name": "resizer",
  "cloud.provider": "gcp",
  "cloud.platform": "gcp_cloud_run",
  "cloud.region": "europe-west1",
  "cloud.account.id": "shop-prod",
  "faas.name": "resizer",
  "faas.version": "resizer-00001",
  "faas.instance": "0087",
});
telemetry.tracers.register();
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
registerInstrumentations({
  tracerProvider: telemetry.tracers,
  meterProvider: telemetry.meters,
  // The exporter's own requests are none of the function's.
  instrumentations: [new HttpInstrumentation({ disableOutgoingRequestInstrumentation: true })],
});
const framework = require("@google-cloud/functions-framework");
const { getTestServer } = require("@google-cloud/functions-framework/testing");

framework.cloudEvent("resize", event => {
  if (event.data.name !== "a.png") throw new Error(`unexpected ${JSON.stringify(event)}`);
});

async function main() {
  const server = getTestServer("resize");
  await new Promise(listening => server.listen(0, "127.0.0.1", listening));
  const answer = await fetch(`http://127.0.0.1:${server.address().port}/`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      "ce-id": "event-1",
      "ce-source": "//storage.googleapis.com/projects/_/buckets/images",
      "ce-specversion": "1.0",
      "ce-type": "google.cloud.storage.object.v1.finalized",
      traceparent: `00-${TRACE}-b7ad6b7169203331-01`,
    },
    body: JSON.stringify({ bucket: "images", name: "a.png" }),
  });
  if (answer.status >= 300) throw new Error(`${answer.status} ${await answer.text()}`);
  server.close();
  server.closeAllConnections();
  await telemetry.shutdown();
  report(TRACE);
}

main();
