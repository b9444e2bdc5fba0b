"""Who is the same person, in the services that keep two people apart."""

import pytest

from services.reclassifier.domain import persons as of_rules
from services.segment_registry.domain import persons as of_registry
from services.segment_registry.entrypoints.authors import author_of

SAME = [("ann", "ANN"), ("ann", " Ann\t"), ("ann", "\uff21nn"), ("Stra\u00dfe", "STRASSE"), ("Zo\u00eb", "Zoe\u0308")]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_a_name_in_another_case_width_or_composition_is_the_same_person(one: str, other: str) -> None:
    for person in (of_rules.person, of_registry.person):
        assert person(one) == person(other)
        assert person(one) != person(f"{other}2")
    assert of_registry.person(author_of(one)) == of_registry.person(author_of(other))


def test_an_author_is_named_by_what_fits_the_contracts() -> None:
    assert author_of("auth0|Ann") == "auth0|Ann"
    assert author_of("Zo\u00eb K.").startswith("sha256:")
    assert author_of("Zo\u00eb K.") != author_of("Zo\u00eb L.")
