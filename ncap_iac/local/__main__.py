"""`python -m ncap_iac.local`: one local cloud in the foreground, until a signal ends it."""

from __future__ import annotations

import argparse
import os
import sys
import threading
from pathlib import Path

from ncap_iac.errors import CloudError
from ncap_iac.local.cloud import DEFAULT_PORT, DEFAULT_REGION, LocalCloud, end_on_signals, serve
from ncap_iac.local.paths import CloudNameError, Places, places


def _open_many_files() -> None:
    """Every connection needs two descriptors; a burst of a thousand clients must not run out of them."""
    if sys.platform != "win32":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most if most != resource.RLIM_INFINITY else 65536, most))


def main(arguments: list[str]) -> int:
    """Exit code 0: ended as asked; 1: its emulator died; 2: it could not start."""
    parser = argparse.ArgumentParser(prog="python -m ncap_iac.local", description=__doc__)
    parser.add_argument("--name", default="default", help="which cloud; each has its own data")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="port on 127.0.0.1; 0: any free one")
    parser.add_argument("--region", default=DEFAULT_REGION)
    usual = places(os.environ, Path.home())
    parser.add_argument("--data", type=Path, default=usual.data, help="where clouds are kept")
    parser.add_argument("--cache", type=Path, default=usual.cache, help="where what can be made again is kept")
    options = parser.parse_args(arguments)

    def say(text: str) -> None:
        sys.stderr.write(f"{text}\n")

    _open_many_files()
    ended = threading.Event()
    end_on_signals(ended)
    local = LocalCloud(Places(options.data.absolute(), options.cache.absolute()), dict(os.environ), say)
    try:
        cloud = local.up(options.name, port=options.port, region=options.region)
    except CloudNameError as error:
        say(f"error: {error}")
        return 2
    except CloudError as error:
        say(f"error: {error}\n{error.hint}".rstrip())
        return 2
    say(f"local cloud '{options.name}' at {cloud.endpoint}")
    if not serve(cloud, ended):
        say("error: the emulator behind the local cloud ended unexpectedly; see base/base.log in the cloud's folder")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
