"""Serving open backorders from what the book has, in order of service. Strategy Gain: nobody loses what he has."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from services.atp.domain.model import Book, LineDecision, OpenBackorder
from services.atp.domain.promising import decide


def serve(book: Book, backorders: Iterable[OpenBackorder]) -> list[tuple[OpenBackorder, LineDecision]]:
    """Decide the open rest of every backorder, first in the order of service first; the input's order is of no effect.

    A backorder's line says what is still wanted: the open quantity, and a minimum only while nothing was promised. The
    answers come in the order of service. An order that ships complete is served at its first line, whole or not at
    all: its backorders must be given together (the lines of `request` and no others, else it is left as it is).
    """
    ordered = sorted(backorders, key=_place)
    together: dict[str, list[OpenBackorder]] = {}
    for backorder in ordered:
        together.setdefault(backorder.promise_id, []).append(backorder)
    answers: list[tuple[OpenBackorder, LineDecision]] = []
    for backorder in ordered:
        if not backorder.request.ship_complete:
            answers += _serve_together(book, [backorder])
        elif backorder is together[backorder.promise_id][0]:
            answers += _serve_whole(book, together[backorder.promise_id])
    return answers


def _serve_whole(book: Book, order: Sequence[OpenBackorder]) -> list[tuple[OpenBackorder, LineDecision]]:
    asked = sorted(line.line for line in order[0].request.lines)
    if asked != sorted(backorder.line.line for backorder in order):
        return []
    return _serve_together(book, order)


def _serve_together(book: Book, order: Sequence[OpenBackorder]) -> list[tuple[OpenBackorder, LineDecision]]:
    request = replace(order[0].request, lines=tuple(backorder.line for backorder in order))
    decision = decide(book, request, in_turn=True)
    return list(zip(order, decision.lines, strict=True))


def _place(backorder: OpenBackorder) -> tuple[tuple[object, ...], str]:
    return (backorder.service_key, backorder.promise_id)
