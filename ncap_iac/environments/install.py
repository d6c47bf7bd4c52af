"""`python -m ncap_iac.environments.install ARCHIVE FOLDER`: an environment's archive becomes the image of this machine.

Runs as root where an AMI is built, out of the archive itself. Beside the image it makes what user data calls:
cloud-init runs user data with the system's PATH, on which `/usr/local/bin` is. Must not be used on a laptop.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ncap_iac.environments.assemble import PROGRAMS, BuildError, Installer, fill_image
from ncap_iac.environments.contents import ArchiveError, Contents, unpack
from ncap_iac.environments.offline import network_variables

_EXECUTABLE = 0o755
_METADATA = "http://169.254.169.254/latest"
_SCRATCH = "/var/lib/neurocaas"


def main(arguments: Sequence[str], environ: Mapping[str, str], *, programs: Path = Path("/usr/local/bin")) -> int:
    """Entry point; the exit status."""
    try:
        archive, folder = map(Path, arguments)
    except ValueError:
        say("usage: python -m ncap_iac.environments.install ARCHIVE FOLDER")
        return 2
    try:
        contents = unpack(archive.read_bytes())
        install(contents, folder, environ)
        write_programs(contents, folder, programs)
    except (ArchiveError, BuildError, OSError) as error:
        say(f"{archive}: {error}")
        return 1
    say(f"{contents.environment} is in {folder}")
    return 0


def install(contents: Contents, folder: Path, environ: Mapping[str, str]) -> None:
    """Fill and seal the image's folder. Raises BuildError or OSError."""
    from uv import find_uv_bin

    with tempfile.TemporaryDirectory() as notes:
        settings = {**environ, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_CACHE": "1"}
        installer = Installer(str(find_uv_bin()), settings, say)
        fill_image(contents, folder, installer, notes=Path(notes), now_s=time.time())


def write_programs(contents: Contents, folder: Path, programs: Path) -> None:
    """What user data calls by name: each starts its namesake of the image as `docs/contracts.md` section 6 says."""
    programs.mkdir(parents=True, exist_ok=True)
    for name in PROGRAMS:
        path = programs / name
        path.write_text(program_text(name, folder, network=contents.network))
        path.chmod(_EXECUTABLE)


def program_text(name: str, folder: Path, *, network: bool) -> str:
    """A shell script that gives the image's program `name` the machine the contract promises.

    The region comes from IMDSv2; where the metadata service does not answer, the program says so itself.
    """
    image = shlex.quote(str(folder))
    offline = "".join(f"export {key}={value}\n" for key, value in network_variables(network=network).items())
    return f"""#!/bin/sh
export NEUROCAAS_IMAGE={image}
export PATH={image}/tool/bin:{image}/env/bin:${{PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}}
{offline}if [ "$(id -u)" = 0 ] && mkdir -p {_SCRATCH}; then
  export HOME={_SCRATCH}
fi
if [ -z "${{AWS_REGION:-}}" ] && command -v curl > /dev/null; then
  token=$(curl -s -m 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {_METADATA}/api/token) || token=
  region=$(curl -s -f -m 5 -H "X-aws-ec2-metadata-token: $token" {_METADATA}/meta-data/placement/region) || region=
  [ -z "$region" ] || export AWS_REGION="$region"
fi
exec {image}/tool/bin/{name} "$@"
"""


def say(text: str) -> None:
    """One line to the build's log."""
    sys.stderr.write(f"neurocaas: {text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
