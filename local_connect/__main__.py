"""What `local-connect` and `python -m local_connect` start."""

import gc


def main() -> None:
    """Read all that there is, and run the command line.

    Nothing of what is read is garbage. To look for some meanwhile takes a tenth of the start, and
    to look through it again later a pause of some 20 ms, each time, for every request.
    """
    gc.disable()
    from local_connect.cli import main as command_line

    gc.freeze()
    gc.enable()
    command_line(prog_name="local-connect")


if __name__ == "__main__":
    main()
