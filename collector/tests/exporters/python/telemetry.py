"""Providers of the real SDK for one function, for all three signals, and what they have sent."""

import json

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

SENT = {"spans": 0, "logs": 0, "points": 0}


def exporters(protocol, endpoint):
    """The exporters of spans, log records and metrics."""
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        return [make(endpoint=endpoint, insecure=True) for make in (OTLPSpanExporter, OTLPLogExporter, OTLPMetricExporter)]
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    makes = ((OTLPSpanExporter, "traces"), (OTLPLogExporter, "logs"), (OTLPMetricExporter, "metrics"))
    return [make(endpoint=f"{endpoint}/v1/{signal}") for make, signal in makes]


def points_of(data):
    metrics = (metric for each in data.resource_metrics for scope in each.scope_metrics for metric in scope.metrics)
    return sum(len(metric.data.data_points) for metric in metrics)


def counting(exporter, signal, size):
    """The exporter, which from now on counts what it is given."""
    export = exporter.export

    def counted(batch, *args, **kwargs):
        SENT[signal] += size(batch)
        return export(batch, *args, **kwargs)

    exporter.export = counted
    return exporter


class Telemetry:
    """All signals of one function."""

    def __init__(self, protocol, endpoint, attributes):
        resource = Resource.create(attributes)
        spans, logs, metrics = exporters(protocol, endpoint)
        self.tracers = TracerProvider(resource=resource)
        self.tracers.add_span_processor(BatchSpanProcessor(counting(spans, "spans", len)))
        self.loggers = LoggerProvider(resource=resource)
        self.loggers.add_log_record_processor(BatchLogRecordProcessor(counting(logs, "logs", len)))
        reader = PeriodicExportingMetricReader(counting(metrics, "points", points_of))
        self.meters = MeterProvider(resource=resource, metric_readers=[reader])
        self.tracer = self.tracers.get_tracer("exporters")
        self.invocations = self.meters.get_meter("exporters").create_counter("faas.invocations")
        self.logger = self.loggers.get_logger("exporters")

    def shutdown(self):
        for provider in (self.tracers, self.loggers, self.meters):
            provider.shutdown()


def lambda_attributes(name):
    """What the resource detectors of AWS Lambda say of a function."""
    return {
        "service.name": name,
        "cloud.provider": "aws",
        "cloud.platform": "aws_lambda",
        "cloud.region": "eu-west-1",
        "faas.name": name,
        "faas.version": "$LATEST",
        "faas.instance": f"2026/01/01/[$LATEST]{name}",
    }


def report(*traces):
    """Tells the test what was sent, and the ids of traces to look at."""
    print(json.dumps(SENT | {"traces": [f"{trace:032x}" for trace in traces]}))
