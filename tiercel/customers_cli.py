"""`tiercel customers`: customers and their tiers as files, through the registry's HTTP API."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from tiercel.running import reporting

customers = typer.Typer(no_args_is_help=True, help="Customers and their tiers as files.")
RegistryAddress = Annotated[str, typer.Option("--url", help="Address of the registry.")]
RegistryKey = Annotated[str, typer.Option("--key", envvar="TIERCEL_API_KEY", help="An API key of the registry.")]


@customers.command("export")
def customers_export(
    file: Annotated[Path, typer.Argument(help="Where it goes; .csv or .parquet.")],
    *,
    cursor: Annotated[
        Path | None, typer.Option(help="Only what changed since the export that left this file; it is kept up.")
    ] = None,
    url: RegistryAddress = "http://127.0.0.1:8081",
    key: RegistryKey = "",
) -> None:
    """Write who is in which tier, now and as planned, to a file."""
    from tiercel.commands.customer_exports import export_customers

    found, rows = reporting(lambda: export_customers(file, cursor_file=cursor, url=url, key=key))
    print(f"{found} customers, {rows} rows are in {file}.")


@customers.command("import")
def customers_import(
    file: Annotated[
        Path | None, typer.Argument(help="CSV or Parquet; --template prints its columns.", exists=True)
    ] = None,
    *,
    template: Annotated[bool, typer.Option("--template", help="Print the columns, and an example.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every row, and send nothing.")] = False,
    set_aside: Annotated[Path, typer.Option(help="Where rows go that cannot be imported.")] = Path("set_aside.csv"),
    encoding: Annotated[str | None, typer.Option(help="Of a CSV file that is neither UTF-8 nor UTF-16.")] = None,
    url: RegistryAddress = "http://127.0.0.1:8081",
    key: RegistryKey = "",
) -> None:
    """Import customers with their tiers. Broken off, it goes on where it was. Status 1 if a row was set aside."""
    from tiercel.commands import customer_imports

    if template:
        print(customer_imports.TEMPLATE, end="")
        return
    if file is None:
        raise typer.BadParameter("a FILE is needed; --template prints its columns")
    rows = reporting(lambda: customer_imports.rows_in(file))
    with typer.progressbar(length=rows, label="customers", file=sys.stderr, show_pos=True) as bar:
        found = reporting(
            lambda: customer_imports.import_customers(
                file, url=url, key=key, set_aside=set_aside, dry_run=dry_run, progress=bar.update, encoding=encoding
            )
        )
    print(
        f"{found.rows} rows: {found.created} created, {found.changed} changed, {found.unchanged} as they were, "
        f"{found.set_aside} set aside ({set_aside})."
    )
    if found.set_aside:
        raise typer.Exit(1)
