"""A transport planner's subscriber: how much each carrier service takes from each location on a day.

python tms.py --check                                 for tiercel check-subscriber
python tms.py HOST:PORT DAY [--prefix TOPIC_PREFIX]   the loads as the log has them now
"""

import argparse
import asyncio

from following import Promises, Record, check, kafka


def loads(promises: Promises, day: str) -> list[list[object]]:
    """[location, service, quantity] of a ship date, ascending."""
    found: dict[tuple[str, str], int] = {}
    for _, _, part in promises.parts():
        if part["ship_date"] == day:
            load = (part["location"], part["service"])
            found[load] = found.get(load, 0) + part["quantity"]
    return [[location, service, quantity] for (location, service), quantity in sorted(found.items())]


async def main() -> None:
    """Print the loads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("place", nargs="*", metavar="HOST:PORT DAY")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--prefix", default="", help="of the topics, where several deployments share a cluster")
    asked = parser.parse_args()
    promises = Promises()

    def answer(question: Record) -> object:
        return loads(promises, question["ship_date"])

    if asked.check:
        check(promises.take, answer)
        return
    servers, day = asked.place
    async for record in kafka(servers, [asked.prefix + "promises.v1"], once=True):
        promises.take(record)
    for location, service, quantity in loads(promises, day):
        print(f"{location} by {service}: {quantity}")


if __name__ == "__main__":
    asyncio.run(main())
