"""The function that the functions framework serves."""

import functions_framework


@functions_framework.cloud_event
def resize(event):
    assert event.data["name"] == "a.png"
