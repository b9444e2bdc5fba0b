"""`python -m tiercel`: the same as the command `tiercel`."""

from tiercel.cli import main

if __name__ == "__main__":
    main()
