"""A process of one service that does next to nothing, to be started and signalled by tests.

`python -m tests.support.tiny_service [relay-dies | start-fails]` prints its port and an API key on standard output.
"""

import asyncio
import sys
from functools import partial

from fastapi import Request, Response

from services.chassis import logs
from services.chassis.http import add_hot_route
from services.chassis.lifecycle import Quiet, Service, SideTask, Stage, Supervisor
from services.chassis.process import Hosted, run_process, run_services
from services.chassis.server import listen
from tests.support.http import Credentials, app_for_tests, everything_is_ready


async def _main(supervisor: Supervisor, fault: str) -> None:
    credentials = Credentials()
    app = app_for_tests(credentials)
    finish = asyncio.Event()

    async def slow(_: Request) -> Response:
        print("inside", flush=True)  # noqa: T201 - the test waits for it
        await finish.wait()
        return Response(b"done")

    async def relay(stop: asyncio.Event) -> None:
        if fault == "relay-dies":
            raise KeyError("the outbox is gone")
        await stop.wait()

    async def start() -> None:
        if fault == "start-fails":
            raise ConnectionRefusedError("no database")

    async def stop() -> None:
        print("closed", flush=True)  # noqa: T201 - the test looks for it

    async def quiet() -> Quiet:
        return Quiet(quiet=True, activity=0)

    add_hot_route(app, "/slow", slow, scope="slow.read", methods=["GET"])
    listener = listen("127.0.0.1", 0)
    supervisor.on_drain(finish.set)
    print(listener.getsockname()[1], credentials.key("slow.read"), flush=True)  # noqa: T201 - the test reads it
    tasks = [SideTask("relay", relay, Stage.RELAY)]
    service = Service("tiny", app, start=start, stop=stop, ready=everything_is_ready, quiet=quiet, tasks=tasks)
    await run_services([Hosted(service, listener)], supervisor=supervisor)


if __name__ == "__main__":
    logs.configure()
    sys.exit(run_process(partial(_main, fault="".join(sys.argv[1:]))))
