"""What the Makefile does with the catalogue: check, deploy, show and copy.

server [--name SAVED]             say where a deployment would go, and whose it would be
deploy [EXAMPLE] [--name SAVED]   deploy one, or all; --new makes other content
up                                deploy all to the server of the environment, with what they stand
                                  on, open them to everyone there, and say where, until Ctrl-C
run EXAMPLE [ARGUMENT …]          run one by itself, reloading, with what it stands on
new NAME --from EXAMPLE           make an example like another
manifests                         write each example's manifest.json
sync                              write what is generated from shared/ and gallery.toml
"""

from __future__ import annotations

import argparse
import sys

from scripts import gallery


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("server").add_argument("--name", default="")
    deploy = commands.add_parser("deploy")
    deploy.add_argument("example", nargs="?")
    deploy.add_argument("--name", default="")
    deploy.add_argument("--new", action="store_true")
    commands.add_parser("up")
    run_one = commands.add_parser("run")
    run_one.add_argument("example")
    run_one.add_argument("arguments", nargs=argparse.REMAINDER)
    new = commands.add_parser("new")
    new.add_argument("name")
    new.add_argument("--from", dest="source", required=True)
    commands.add_parser("manifests")
    commands.add_parser("sync")
    arguments = parser.parse_args()
    try:
        run(arguments)
    except KeyboardInterrupt:
        sys.exit(130)


def run(arguments: argparse.Namespace) -> None:
    try:
        match arguments.command:
            case "server":
                gallery.say_where(arguments.name)
            case "deploy":
                examples = [arguments.example] if arguments.example else gallery.catalogue()
                there = gallery.deploy(examples, arguments.name, new=arguments.new)
                width = max(map(len, there), default=0)
                print()
                for example, address in there.items():
                    print(f"{example:<{width}}  {address}")
            case "up":
                gallery.up()
            case "run":
                sys.exit(gallery.run(arguments.example, arguments.arguments))
            case "new":
                gallery.new(arguments.name, arguments.source)
            case "manifests":
                gallery.manifests()
            case "sync":  # pragma: no branch (the parser knows no other)
                gallery.sync()
    except gallery.FAILURES as error:
        sys.exit(f"gallery: {error}")


if __name__ == "__main__":
    main()
