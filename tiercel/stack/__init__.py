"""The real servers on this machine, without Docker: PostgreSQL, Apache Kafka, Redis and Prometheus on loopback.

`python -m tiercel.stack up | down | status`. Data, logs and process ids live under `.stack/`, so that removing that
folder (after `down`) removes everything; `.stack/env` holds the addresses. Nothing here is for production.
"""
