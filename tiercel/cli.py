"""The command `tiercel`. What a command does is in `tiercel/commands/`; here is what may be said to it.

A command imports what it needs when it runs, so that the others do not wait for it.
"""

from pathlib import Path
from typing import Annotated, Final

import typer

from tiercel import evidence_cli
from tiercel.customers_cli import customers
from tiercel.options import Data
from tiercel.running import columns_of, reporting, run_to_end

DATA: Final = Path(".tiercel")

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="Order promising.")
dlq = typer.Typer(no_args_is_help=True, help="Events that could not be processed.")
keys = typer.Typer(no_args_is_help=True, help="API keys of the distributed form.")
ledger = typer.Typer(no_args_is_help=True, help="The ledger of commitments and what decisions read.")
audit = typer.Typer(no_args_is_help=True, help="The audit trails: who changed what, chained and anchored.")
allocations = typer.Typer(no_args_is_help=True, help="Protections, quotas, hierarchies and capacities as CSV files.")
app.add_typer(allocations, name="allocations")
app.add_typer(audit, name="audit")
app.add_typer(customers, name="customers")
app.add_typer(dlq, name="dlq")
app.add_typer(keys, name="keys")
app.add_typer(ledger, name="ledger")
app.command("backtest")(evidence_cli.backtest)
app.command("check-subscriber")(evidence_cli.check_subscriber)
app.command("reconcile")(evidence_cli.reconcile)

SHOWN_MAX = 20  # of each kind of finding; the report has all
Topic = Annotated[str, typer.Argument(help="The topic of the events, without .dlq.")]
Partition = Annotated[int, typer.Option(min=0, help="Where the event was read.")]
Offset = Annotated[int, typer.Option(min=0, help="Where the event was read.")]
KeyFile = Annotated[
    Path | None, typer.Option("--file", help="A file of hashed keys; without it, the key tables of the services.")
]


def main() -> None:
    """Run the command."""
    app()


@app.command()
def serve(
    port: Annotated[
        int, typer.Option(min=0, max=65_533, help="Of the ATP; the others take the next two. 0: free ones.")
    ] = 8080,
    data: Annotated[Path, typer.Option(help="Where everything is kept.")] = DATA,
    ready_file: Annotated[Path | None, typer.Option(help="Written once all are ready: addresses and key.")] = None,
) -> None:
    """Keep all three services up in one process, with a PostgreSQL of their own. Not for production."""
    from tiercel.commands.serve import serve as run

    raise typer.Exit(reporting(lambda: run(port=port, data=data, ready_file=ready_file)))


@app.command()
def demo(
    *,
    orders: Annotated[
        Path | None, typer.Option(help="An order history, CSV or Parquet; without it, a made-up one.")
    ] = None,
    mapping: Annotated[
        str, typer.Option("--map", help='Where the columns are: "order_id=Invoice sku=StockCode quantity=Qty ...".')
    ] = "",
    form: Annotated[str, typer.Option(help="embedded, or distributed (real servers on loopback).")] = "embedded",
    supply: Annotated[int, typer.Option(min=1, max=500, help="Modelled supply, percent of demand.")] = 90,
    kills: Annotated[int, typer.Option(min=0, max=50, help="Kill the ATP so often meanwhile (distributed).")] = 0,
    data: Annotated[Path, typer.Option(help="Where the replay keeps its things; emptied at the start.")] = DATA,
) -> None:
    """Replay an order history through the three services and check what came of it."""
    from tiercel.demo.run import Wish
    from tiercel.demo.run import demo as run

    if form not in ("embedded", "distributed"):
        raise typer.BadParameter("--form is embedded or distributed")
    wish = Wish(orders, columns_of(mapping), form, data, supply, kills=kills)
    raise typer.Exit(reporting(lambda: run(wish)))


Address = Annotated[str, typer.Option("--url", help="Address of the ATP.")]
ApiKey = Annotated[str, typer.Option("--key", envvar="TIERCEL_API_KEY", help="An API key of the ATP.")]


@app.command("import")
def import_file(
    kind: Annotated[str, typer.Argument(help="items, locations, lanes, services, calendars, zones, stock, ...")] = "",
    file: Annotated[Path | None, typer.Argument(help="CSV; --template KIND prints its columns.", exists=True)] = None,
    *,
    template: Annotated[str, typer.Option(metavar="KIND", help="Print the columns of a kind, and an example.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every row, and send nothing.")] = False,
    url: Address = "http://127.0.0.1:8080",
    key: ApiKey = "",
    set_aside: Annotated[Path, typer.Option(help="Where rows go that cannot be imported.")] = Path("set_aside.csv"),
    encoding: Annotated[str | None, typer.Option(help="Of the file, if it is neither UTF-8 nor UTF-16.")] = None,
) -> None:
    """Import master data, supply or open orders from a CSV file. Status 1 if a row was set aside."""
    from tiercel.commands import import_sheets, importing

    if (template or kind) not in import_sheets.SHEETS:
        raise typer.BadParameter(f"KIND is one of {', '.join(import_sheets.SHEETS)}")
    if template:
        print(import_sheets.template(template))
        return
    if file is None:
        raise typer.BadParameter("a FILE is needed; --template KIND prints its columns")
    found = reporting(
        lambda: importing.import_file(
            kind, file, url=url, key=key, set_aside=set_aside, dry_run=dry_run, encoding=encoding
        )
    )
    done = "would be sent" if dry_run else "sent"
    print(f"{found.rows} rows: {found.good} {done}, {found.set_aside} set aside ({set_aside}).")
    if found.set_aside:
        raise typer.Exit(1)


Kind = Annotated[str, typer.Argument(help="protections, quotas, hierarchies or capacities.")]


@allocations.command("export")
def allocations_export(
    kind: Kind,
    document: Annotated[str, typer.Argument(help="The document's id.")],
    file: Annotated[Path, typer.Argument(help="Where it goes.")],
    *,
    version: Annotated[int | None, typer.Option(min=1, help="Default: the newest.")] = None,
    url: Address = "http://127.0.0.1:8080",
    key: ApiKey = "",
) -> None:
    """Write a version of a document to a CSV file, to be edited and imported."""
    from tiercel.commands import allocation_files

    _check_kind(kind)
    found = reporting(lambda: allocation_files.export(kind, document, file, version=version, url=url, key=key))
    print(f"version {found} of {document} is in {file}.")


@allocations.command("import")
def allocations_import(
    kind: Kind,
    file: Annotated[Path, typer.Argument(help="CSV, as it was exported.", exists=True)],
    *,
    document: Annotated[str, typer.Option(help="Default: the one that the file names.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and write nothing.")] = False,
    base_version: Annotated[int | None, typer.Option(min=0, help="Default: what the file says; 0: a new one.")] = None,
    effective_from: Annotated[str | None, typer.Option(help="Default: at once.")] = None,
    without_bad_rows: Annotated[bool, typer.Option("--without-bad-rows", help="Write the rows that are good.")] = False,
    set_aside: Annotated[Path, typer.Option(help="Where bad rows are listed.")] = Path("set_aside.csv"),
    url: Address = "http://127.0.0.1:8080",
    key: ApiKey = "",
) -> None:
    """Write the next version of a document from a CSV file. Status 1 if a row was set aside."""
    from tiercel.commands import allocation_files

    _check_kind(kind)

    def run() -> tuple[list[str], bool]:
        named = document or allocation_files.document_named_in(file)
        sent = allocation_files.Sent(kind, named, dry_run, base_version, effective_from, without_bad_rows)
        return allocation_files.import_file(sent, file, set_aside=set_aside, url=url, key=key)

    told, whole = reporting(run)
    print("\n".join(told))
    if not whole:
        raise typer.Exit(1)


def _check_kind(kind: str) -> None:
    from tiercel.commands import allocation_files

    if kind not in allocation_files.KINDS:
        raise typer.BadParameter(f"KIND is one of {', '.join(allocation_files.KINDS)}")


@app.command("reconcile-stock")
def reconcile_stock(
    extract: Annotated[
        Path | None,
        typer.Argument(help="CSV of the ERP or WMS: sku, location; on_hand, committed, receipts.", exists=True),
    ] = None,
    *,
    tolerance: Annotated[int, typer.Option(min=0, help="Units by which a figure may differ.")] = 0,
    report: Annotated[Path, typer.Option(help="Where all positions go.")] = Path("reconciliation.csv"),
    url: Address = "http://127.0.0.1:8080",
    key: ApiKey = "",
) -> None:
    """Tell how positions stand, and compare them with an extract.

    Status 1 if a figure differs by more than the tolerance, or something else stands in the way of going live.
    """
    from tiercel.commands.reconciling import reconcile

    found = reporting(lambda: reconcile(extract, url=url, key=key, report=report, tolerance=tolerance))
    print(f"{found.positions} positions ({report}).")
    if extract is not None:
        beyond = len({each.place for each in found.differences})
        print(f"{found.compared} positions compared, {found.differing} differ, {beyond} by more than {tolerance}.")
    for each in found.differences[:SHOWN_MAX]:
        print(f"differs: {'@'.join(each.place)} {each.figure}: extract {each.extract}, tiercel {each.tiercel}")
    units = sum(quantity for quantity, _ in found.deficits.values())
    print(f"{len(found.deficits)} positions are short, by {units} units.")
    for place, (quantity, day) in [*found.deficits.items()][:SHOWN_MAX]:
        print(f"short: {'@'.join(place)} by {quantity} from {day}")
    print(f"{len(found.hindrances)} positions have something in the way of going live.")
    for place, hindrances in [*found.hindrances.items()][:SHOWN_MAX]:
        print(f"in the way: {'@'.join(place)}: {', '.join(hindrances)}")
    if found.blocked:
        raise typer.Exit(1)


@app.command()
def doctor(data: Data = None) -> None:
    """Ask everything that a deployment stands on; status 1 if something must be mended."""
    from tiercel.commands.deployment import diagnose

    if not run_to_end(diagnose(data)):
        raise typer.Exit(1)


@app.command()
def migrate(data: Data = None) -> None:
    """Bring the schema of every service to its newest version."""
    from tiercel.commands.deployment import migrate as run

    run_to_end(run(data))
    print("Every schema is at its newest version.")


@app.command()
def topics(data: Data = None) -> None:
    """Create the topics that are missing."""
    from tiercel.commands.deployment import create_topics

    print(f"{run_to_end(create_topics(data))} topics are there.")


@app.command("replay-decision")
def replay_decision(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="Of a promise, a decision or a batch of decisions.")],
    data: Data = None,
) -> None:
    """Decide again from the record what was decided; status 1 if anything differs from what is stored."""
    from tiercel.commands.decisions import replay_decision as run

    if not run_to_end(run(data, identifier)):
        raise typer.Exit(1)


@app.command()
def conformance(
    *,
    url: Annotated[
        list[str], typer.Option(help="Address of the endpoint; NAME=URL for further ones that the mapping names.")
    ],
    mapping: Annotated[Path, typer.Option(help="How it is asked: YAML or TOML; conformance/README.md.", exists=True)],
    key: Annotated[str, typer.Option(envvar="TIERCEL_API_KEY", help="Goes where the mapping says {key}.")] = "",
    cases: Annotated[Path | None, typer.Option(help="Another file of cases.")] = None,
) -> None:
    """Run the conformance cases against any HTTP endpoint. Status 1 if one fails."""
    from tiercel.commands.conformance import conformance as run

    if not run_to_end(run(url, mapping, key=key, cases=cases)):
        raise typer.Exit(1)


@dlq.command("list")
def dlq_list(
    topic: Annotated[str | None, typer.Argument(help="One line for each of this topic.")] = None, data: Data = None
) -> None:
    """How many wait, by topic and reason; with a topic, which."""
    from tiercel.commands import dead_letters

    run_to_end(dead_letters.print_counts(data) if topic is None else dead_letters.print_letters(data, topic))


@dlq.command("show")
def dlq_show(topic: Topic, partition: Partition, offset: Offset, data: Data = None) -> None:
    """Everything about one."""
    from services.chassis.dead_letters import Place
    from tiercel.commands import dead_letters

    run_to_end(dead_letters.print_letter(data, Place(topic, partition, offset)))


@dlq.command("replay")
def dlq_replay(
    topic: Topic,
    partition: Annotated[int | None, typer.Option(min=0, help="Where the event was read.")] = None,
    offset: Annotated[int | None, typer.Option(min=0, help="Where the event was read.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that wait.")] = False,
    data: Data = None,
) -> None:
    """Put one, or all that wait, back to the end of their topic, with their own event ids."""
    from services.chassis.dead_letters import Place
    from tiercel.commands import dead_letters

    one = partition is not None and offset is not None
    if one is every:
        raise typer.BadParameter("give --partition and --offset of one event, or --all")
    place = Place(topic, partition, offset) if partition is not None and offset is not None else None
    print(f"{run_to_end(dead_letters.replay(data, topic, place))} put back.")


@dlq.command("discard")
def dlq_discard(topic: Topic, partition: Partition, offset: Offset, data: Data = None) -> None:
    """End the waiting of one without putting it back: it was mended elsewhere, or is of no use."""
    from services.chassis.dead_letters import Place
    from tiercel.commands import dead_letters

    run_to_end(dead_letters.discard(data, Place(topic, partition, offset)))


@keys.command("mint")
def keys_mint(
    subject: Annotated[str, typer.Option(help="Who it is for; shown in logs and audit.")],
    scope: Annotated[list[str], typer.Option(help="What it may do, e.g. atp.promise; may be repeated.")],
    channel: Annotated[list[str] | None, typer.Option(help="Only orders of this channel; may be repeated.")] = None,
    file: KeyFile = None,
) -> None:
    """Make a key, and print it this once; only its hash is stored."""
    from tiercel.commands.keys import new_key

    print(run_to_end(new_key(file, subject=subject, scopes=scope, channels=channel)))


@keys.command("revoke")
def keys_revoke(
    key_id: Annotated[str, typer.Argument(help="The part between tiercel_ and the dot.")], file: KeyFile = None
) -> None:
    """End a key."""
    from tiercel.commands.keys import revoke

    run_to_end(revoke(file, key_id))


@keys.command("proposals")
def keys_proposals(
    file: Annotated[
        Path, typer.Argument(help="Where the reclassifier's private key goes; the public one to FILE.pub.")
    ],
) -> None:
    """Make the key that proves proposals of tiers. The segment registry reads public halves, one after the other."""
    from services.chassis.signing_keys import make_key

    print(reporting(lambda: make_key(file)))


@ledger.command("verify")
def ledger_verify(
    decisions: Annotated[
        bool, typer.Option("--decisions", help="Repeat every decision, to find what was oversold.")
    ] = False,
    data: Data = None,
) -> None:
    """Compare every aggregate with the ledger; status 1 if one differs."""
    from tiercel.commands.ledger import verify

    if not run_to_end(verify(data, decisions=decisions)):
        raise typer.Exit(1)


@ledger.command("rebuild")
def ledger_rebuild(data: Data = None) -> None:
    """Set every aggregate that differs to what the ledger says; decisions wait meanwhile."""
    from tiercel.commands.ledger import rebuild

    print(f"{run_to_end(rebuild(data))} aggregates were changed.")


@audit.command("key")
def audit_key(
    file: Annotated[Path, typer.Argument(help="Where the private key goes; the public one to FILE.pub.")],
) -> None:
    """Make the key that signs anchors. The public half proves them: keep a copy where no service can write."""
    from services.chassis.signing_keys import make_key

    print(reporting(lambda: make_key(file)))


@audit.command("verify")
def audit_verify(
    service: Annotated[str | None, typer.Option(help="Only the trail of this service.")] = None,
    key: Annotated[Path | None, typer.Option(help="The key of the anchors, private or public half.")] = None,
    anchors: Annotated[Path | None, typer.Option(help="Anchors kept elsewhere: lines of `anchors`.")] = None,
    data: Data = None,
) -> None:
    """Compute every trail again and hold it against its anchors; status 1 if anything is wrong."""
    from tiercel.commands.audit import verify

    if not run_to_end(verify(data, service=service, key_file=key, anchors_file=anchors)):
        raise typer.Exit(1)


@audit.command("export")
def audit_export(
    service: Annotated[str, typer.Argument(help="Whose trail.")],
    file: Annotated[Path, typer.Argument(help="JSON lines.")],
    data: Data = None,
) -> None:
    """Write a trail to a file, an entry a line with its digest."""
    from tiercel.commands.audit import export

    print(f"{run_to_end(export(data, service=service, file=file))} entries.")


@audit.command("anchors")
def audit_anchors(service: Annotated[str, typer.Argument(help="Whose anchors.")], data: Data = None) -> None:
    """Print all anchors of a service, one a line, to keep them elsewhere too."""
    from tiercel.commands.audit import anchors

    for anchor in run_to_end(anchors(data, service=service)):
        print(anchor.to_json().decode())
