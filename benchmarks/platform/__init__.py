"""The whole product: seeds of the demo, what Flyte adds to a climb, damaged documents."""
