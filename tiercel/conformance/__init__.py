"""The conformance cases against any HTTP endpoint: cases.py says what is asked, mapping.py how an endpoint is asked."""
