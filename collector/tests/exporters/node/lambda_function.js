// A handler under the instrumentation of AWS Lambda, called with real events: `lambda_function.js PROTOCOL ENDPOINT`.
const { ROOT_CONTEXT, SpanKind, defaultTextMapSetter, propagation, trace } = require("@opentelemetry/api");
const { W3CTraceContextPropagator } = require("@opentelemetry/core");
const { registerInstrumentations } = require("@opentelemetry/instrumentation");
const { AwsLambdaInstrumentation } = require("@opentelemetry/instrumentation-aws-lambda");
const { Telemetry, lambdaAttributes, report } = require("./telemetry");

const [protocol, endpoint] = process.argv.slice(2);
process.env.LAMBDA_TASK_ROOT = __dirname;
process.env._HANDLER = "handler.handle";
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
const sender = new Telemetry(protocol, endpoint, lambdaAttributes("uploads"));
const thumbnails = new Telemetry(protocol, endpoint, lambdaAttributes("thumbnails"));
thumbnails.tracers.register();
registerInstrumentations({
  tracerProvider: thumbnails.tracers,
  meterProvider: thumbnails.meters,
  instrumentations: [new AwsLambdaInstrumentation({ useGlobalPropagatorForSqsExtraction: true })],
});
const handler = require("./handler");

const ARN = "arn:aws:lambda:eu-west-1:123456789012:function:thumbnails:live";

function invoke(number, event) {
  const context = { functionName: "thumbnails", invokedFunctionArn: ARN, awsRequestId: `request-${number}` };
  thumbnails.invocations.add(1);
  return handler.handle(event, context);
}

/** What a span that leaves a function hands on. */
function handedOn(name, kind, attributes, parent) {
  const span = sender.tracer.startSpan(name, { kind, attributes }, parent);
  const carrier = {};
  propagation.inject(trace.setSpan(parent, span), carrier, defaultTextMapSetter);
  span.end();
  return carrier;
}

/** A message in a queue, with the context of the span that sent it. */
function message(parent) {
  const sending = { "messaging.system": "aws_sqs", "messaging.destination.name": "raw", "messaging.operation.type": "send" };
  const { traceparent } = handedOn("send raw", SpanKind.PRODUCER, sending, parent);
  return {
    messageId: `message-${traceparent}`,
    body: "{}",
    attributes: {},
    messageAttributes: { traceparent: { stringValue: traceparent, dataType: "String" } },
    eventSource: "aws:sqs",
    eventSourceARN: "arn:aws:sqs:eu-west-1:123456789012:raw",
  };
}

async function main() {
  const uploads = sender.tracer.startSpan("uploads", { kind: SpanKind.SERVER }, ROOT_CONTEXT);
  const inside = trace.setSpan(ROOT_CONTEXT, uploads);
  const records = [message(inside), message(inside)];
  const headers = handedOn("GET", SpanKind.CLIENT, {}, inside);
  uploads.end();
  await invoke(1, { Records: records });
  await invoke(2, { Records: [{ eventSource: "aws:s3", s3: { bucket: { name: "images" }, object: { key: "a.png" } } }] });
  await invoke(3, { resource: "/thumbnails", httpMethod: "GET", headers, requestContext: {} });
  for (const telemetry of [sender, thumbnails]) await telemetry.shutdown();
  report();
}

main();
