"""One file per command of `tiercel`, or per family of commands."""
