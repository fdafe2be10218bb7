"""A handler under the instrumentation of AWS Lambda, called with real events: `lambda_function.py grpc|http ENDPOINT`."""

import os
import sys
from types import SimpleNamespace

os.environ["_HANDLER"] = "handler.handle"
os.environ["AWS_LAMBDA_FUNCTION_NAME"] = "thumbnails"

from opentelemetry.instrumentation.aws_lambda import AwsLambdaInstrumentor
from opentelemetry.propagate import inject
from opentelemetry.trace import SpanKind
from telemetry import Telemetry, lambda_attributes, report

sender = Telemetry(*sys.argv[1:3], lambda_attributes("uploads"))
function = Telemetry(*sys.argv[1:3], lambda_attributes("thumbnails"))
AwsLambdaInstrumentor().instrument(tracer_provider=function.tracers, meter_provider=function.meters)
import handler

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:thumbnails:live"


def invoke(number, event):
    context = SimpleNamespace(function_name="thumbnails", invoked_function_arn=ARN, aws_request_id=f"request-{number}")
    function.invocations.add(1)
    handler.handle(event, context)


def message():
    """A message in a queue, with the context of the span that sent it."""
    sending = {"messaging.system": "aws_sqs", "messaging.destination.name": "raw", "messaging.operation.type": "send"}
    with sender.tracer.start_as_current_span("send raw", kind=SpanKind.PRODUCER, attributes=sending):
        carrier = {}
        inject(carrier)
    return {
        "messageId": f"message-{carrier['traceparent']}",
        "body": "{}",
        "attributes": {},
        "messageAttributes": {key: {"stringValue": value, "dataType": "String"} for key, value in carrier.items()},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:raw",
    }


with sender.tracer.start_as_current_span("uploads", kind=SpanKind.SERVER):
    records = [message() for _ in range(2)]
    with sender.tracer.start_as_current_span("GET", kind=SpanKind.CLIENT):
        headers = {}
        inject(headers)
invoke(1, {"Records": records})
invoke(2, {"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": "images"}, "object": {"key": "a.png"}}}]})
invoke(3, {"resource": "/thumbnails", "httpMethod": "GET", "headers": headers, "requestContext": {}})
for telemetry in (sender, function):
    telemetry.shutdown()
report()
