"""A CloudEvent for a function of Google's functions framework: `framework.py grpc|http ENDPOINT`."""

import sys

from functions_framework import create_app
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from telemetry import Telemetry, report

ATTRIBUTES = {
    "service.name": "resizer",
    "cloud.provider": "gcp",
    "cloud.platform": "gcp_cloud_run",
    "cloud.region": "europe-west1",
    "cloud.account.id": "shop-prod",
    "faas.name": "resizer",
    "faas.version": "resizer-00001",
    "faas.instance": "0087",
}
TRACE = 0x0AF7651916CD43DD8448EB211C80319C
EVENT = {
    "ce-id": "event-1",
    "ce-source": "//storage.googleapis.com/projects/_/buckets/images",
    "ce-specversion": "1.0",
    "ce-type": "google.cloud.storage.object.v1.finalized",
    "traceparent": f"00-{TRACE:032x}-b7ad6b7169203331-01",
}

telemetry = Telemetry(*sys.argv[1:3], ATTRIBUTES)
app = create_app("resize", f"{sys.path[0]}/cloud_function.py", "cloudevent")
FlaskInstrumentor().instrument_app(app, tracer_provider=telemetry.tracers, meter_provider=telemetry.meters)
answer = app.test_client().post("/", headers=EVENT, json={"bucket": "images", "name": "a.png"})
assert answer.status_code == 200, answer.data
telemetry.shutdown()
report(TRACE)
