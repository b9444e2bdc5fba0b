from services.chassis.idempotency import fingerprint


def test_the_same_request_has_the_same_fingerprint() -> None:
    assert fingerprint("post", "/v1/promises", b"{}") == fingerprint("POST", "/v1/promises", b"{}")
    assert len(fingerprint("POST", "/", b"")) == 32


def test_any_difference_makes_another_fingerprint() -> None:
    requests = [
        ("POST", "/a", b"b"),
        ("PUT", "/a", b"b"),
        ("POST", "/ab", b""),
        ("POST", "/", b"ab"),
        ("POST", "/a", b"c"),
    ]
    assert len({fingerprint(*request) for request in requests}) == len(requests)
