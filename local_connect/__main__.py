"""`python -m local_connect` is `local-connect`."""

from local_connect.cli import main

if __name__ == "__main__":
    main(prog_name="local-connect")
