// A call, two messages and the batch that they end in, by the plain SDK: `functions.js PROTOCOL ENDPOINT`.
const { ROOT_CONTEXT, SpanKind, trace } = require("@opentelemetry/api");
const { Telemetry, lambdaAttributes, report } = require("./telemetry");

const [protocol, endpoint] = process.argv.slice(2);
const functions = Object.fromEntries(
  ["checkout", "payment", "mailer"].map(name => [name, new Telemetry(protocol, endpoint, lambdaAttributes(name))]),
);
const QUEUE = { "messaging.system": "aws_sqs", "messaging.destination.name": "receipts" };

function invocation(name, context, attributes) {
  functions[name].invocations.add(1, { "faas.trigger": attributes["faas.trigger"] });
  return functions[name].tracer.startSpan(name, { kind: SpanKind.SERVER, attributes }, context);
}

async function main() {
  const { checkout, mailer } = functions;
  const shopping = invocation("checkout", ROOT_CONTEXT, { "faas.trigger": "http", "faas.coldstart": true });
  const inside = trace.setSpan(ROOT_CONTEXT, shopping);
  checkout.logger.emit({ body: "order taken", severityText: "INFO", context: inside });
  const call = checkout.tracer.startSpan("pay", { kind: SpanKind.CLIENT, attributes: { "http.request.method": "POST" } }, inside);
  invocation("payment", trace.setSpan(inside, call), { "faas.trigger": "http" }).end();
  call.end();
  const links = [0, 1].map(() => {
    const attributes = { ...QUEUE, "messaging.operation.type": "send" };
    const send = checkout.tracer.startSpan("send receipts", { kind: SpanKind.PRODUCER, attributes }, inside);
    send.end();
    return { context: send.spanContext() };
  });
  shopping.end();
  const mailing = invocation("mailer", ROOT_CONTEXT, { "faas.trigger": "pubsub" });
  const received = trace.setSpan(ROOT_CONTEXT, mailing);
  const attributes = { ...QUEUE, "messaging.operation.type": "process", "messaging.batch.message_count": 2 };
  const processing = { kind: SpanKind.CONSUMER, attributes, links };
  mailer.tracer.startSpan("process receipts", processing, received).end();
  mailer.logger.emit({ body: "receipts sent", severityText: "INFO", context: received });
  mailing.end();
  for (const telemetry of Object.values(functions)) await telemetry.shutdown();
  report(shopping.spanContext().traceId, mailing.spanContext().traceId);
}

main();
