"""A warehouse's subscriber: what to pick at a location on a day, the best tier first, and in which tier a customer is.

python wms.py --check                                          for tiercel check-subscriber
python wms.py HOST:PORT LOCATION DAY [--prefix TOPIC_PREFIX]   the pick list as the log has it now
"""

import argparse
import asyncio
from datetime import datetime

from following import Promises, Record, Tiers, check, kafka

TOPICS = ("segments.current.v1", "segments.policies.v1", "promises.v1")


class Warehouse:
    """The state: tiers and promises."""

    def __init__(self) -> None:
        self.tiers, self.promises = Tiers(), Promises()

    def take(self, record: Record) -> None:
        """Apply a record."""
        (self.promises if record["topic"].endswith("promises.v1") else self.tiers).take(record)

    def picks(self, location: str, day: str) -> list[list[object]]:
        """[order id, line, quantity] of a location and ship date, by pick priority (1 first).

        A promise that another system made has no routing: it is picked by the rank of its tier.
        """
        found: dict[tuple[int, str, str], int] = {}
        for promise, line, part in self.promises.parts():
            if (part["location"], part["ship_date"]) == (location, day):
                routing = part.get("routing")
                priority = routing["pick_priority"] if routing else promise["served_as"]["priority_rank"]
                place = (priority, promise["order"]["order_id"], line["line"])
                found[place] = found.get(place, 0) + part["quantity"]
        return [[order, line, quantity] for (_, order, line), quantity in sorted(found.items())]

    def answer(self, question: Record) -> object:
        """A question of the check."""
        if question["question"] == "picks":
            return self.picks(question["location"], question["ship_date"])
        at = datetime.fromisoformat(question["at"])
        return [self.tiers.of(each["system"], each["id"], at) for each in question["customers"]]


async def main() -> None:
    """Print the pick list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("place", nargs="*", metavar="HOST:PORT LOCATION DAY")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--prefix", default="", help="of the topics, where several deployments share a cluster")
    asked = parser.parse_args()
    warehouse = Warehouse()
    if asked.check:
        check(warehouse.take, warehouse.answer)
        return
    servers, location, day = asked.place
    async for record in kafka(servers, [asked.prefix + topic for topic in TOPICS], once=True):
        warehouse.take(record)
    for order, line, quantity in warehouse.picks(location, day):
        print(f"order {order} line {line}: {quantity}")


if __name__ == "__main__":
    asyncio.run(main())
