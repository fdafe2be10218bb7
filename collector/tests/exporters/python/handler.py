"""The function that the instrumentation of AWS Lambda wraps."""


def handle(event, context):
    return {"statusCode": 200, "body": "[]"} if "httpMethod" in event else None
