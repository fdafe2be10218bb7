"""A call, two messages and the batch that they end in, by the plain SDK: `functions.py grpc|http ENDPOINT`."""

import sys

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind
from telemetry import Telemetry, lambda_attributes, report

functions = {name: Telemetry(*sys.argv[1:3], lambda_attributes(name)) for name in ("checkout", "payment", "mailer")}
QUEUE = {"messaging.system": "aws_sqs", "messaging.destination.name": "receipts"}


def invocation(name, context, **attributes):
    function = functions[name]
    function.invocations.add(1, {"faas.trigger": attributes["faas.trigger"]})
    return function.tracer.start_as_current_span(name, context=context, kind=SpanKind.SERVER, attributes=attributes)


checkout = functions["checkout"]
with invocation("checkout", Context(), **{"faas.trigger": "http", "faas.coldstart": True}) as run:
    shopping = run.get_span_context().trace_id
    checkout.logger.emit(body="order taken", severity_text="INFO")
    with checkout.tracer.start_as_current_span("pay", kind=SpanKind.CLIENT, attributes={"http.request.method": "POST"}) as call:
        with invocation("payment", trace.set_span_in_context(call), **{"faas.trigger": "http"}):
            pass
    sent = []
    for _ in range(2):
        sending = QUEUE | {"messaging.operation.type": "send"}
        with checkout.tracer.start_as_current_span("send receipts", kind=SpanKind.PRODUCER, attributes=sending) as send:
            sent.append(send.get_span_context())
with invocation("mailer", Context(), **{"faas.trigger": "pubsub"}) as run:
    mailing = run.get_span_context().trace_id
    processing = QUEUE | {"messaging.operation.type": "process", "messaging.batch.message_count": 2}
    links = [Link(context) for context in sent]
    tracer = functions["mailer"].tracer
    with tracer.start_as_current_span("process receipts", kind=SpanKind.CONSUMER, attributes=processing, links=links):
        functions["mailer"].logger.emit(body="receipts sent", severity_text="INFO")
for function in functions.values():
    function.shutdown()
report(shopping, mailing)
