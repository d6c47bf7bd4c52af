"""The commands by which EC2 Image Builder makes an AMI of a recipe: one component document, and the systems it fits.

Text only. Every value that differs between environments is a parameter of the document, never part of a shell line;
package names are the one exception, and the recipe's schema lets only letters, digits and `+.-` into them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

IMAGE_FOLDER = "/opt/neurocaas"
"""Where the image lies on an AMI; `docs/contracts.md`, section 6."""
_WORK = "/var/tmp/neurocaas"


@dataclass(frozen=True, slots=True)
class BaseSystem:
    """An operating system AMIs are built on."""

    pythons: tuple[str, ...]
    """Its Python versions, best first."""
    root_device: str
    prepare: tuple[str, ...]
    """Shell lines before packages can be installed."""
    install: str
    """The shell command in front of package names."""
    python_packages: str
    """What Python `{}` needs to make a virtual environment."""
    parents: dict[str, str]
    """Public SSM parameters of its newest image, by architecture."""
    gpu_parents: dict[str, str]
    """The same with GPU drivers."""
    needs_http: bool
    """Whether its packages come over plain HTTP (signed)."""


_GPU = "/aws/service/deeplearning/ami/{}/base-oss-nvidia-driver-gpu-{}/latest/ami-id"
_UBUNTU = "/aws/service/canonical/ubuntu/server/24.04/stable/current/{}/hvm/ebs-gp3/ami-id"
_AMAZON = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}"

BASE_SYSTEMS: dict[str, BaseSystem] = {
    "ubuntu-24.04": BaseSystem(
        pythons=("3.12",),
        root_device="/dev/sda1",
        prepare=("cloud-init status --wait || true", "apt-get update"),
        install="DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends",
        python_packages="python{0} python{0}-venv",
        parents={"x86_64": _UBUNTU.format("amd64"), "arm64": _UBUNTU.format("arm64")},
        gpu_parents={"x86_64": _GPU.format("x86_64", "ubuntu-24.04")},
        needs_http=True,
    ),
    "amazon-linux-2023": BaseSystem(
        pythons=("3.13", "3.12", "3.11"),
        root_device="/dev/xvda",
        prepare=(),
        install="dnf install --assumeyes",
        python_packages="python{0}",
        parents={"x86_64": _AMAZON.format("x86_64"), "arm64": _AMAZON.format("arm64")},
        gpu_parents={"x86_64": _GPU.format("x86_64", "amazon-linux-2023")},
        needs_http=False,
    ),
}
"""By the name a recipe's `base` has."""


def component_document(base: BaseSystem, python: str, os_packages: Sequence[str]) -> str:
    """The component (JSON, which is YAML). Its parameters are `Archive` (S3 URI) and `Sha256` (hex of the archive).

    "Component document schema", EC2 Image Builder user guide.
    """
    described = {"Archive": "S3 URI of the environment's archive", "Sha256": "SHA-256 of the archive, hex"}
    parameters = [{name: {"type": "string", "description": text}} for name, text in described.items()]
    phases = [("build", _build_steps(base, python, os_packages)), ("validate", [_look()]), ("test", [_look()])]
    document = {
        "name": "neurocaas-environment",
        "description": "Installs a NeuroCAAS environment from its archive.",
        "schemaVersion": 1.0,
        "parameters": parameters,
        "phases": [{"name": name, "steps": steps} for name, steps in phases],
    }
    return json.dumps(document, indent=1)


def _build_steps(base: BaseSystem, python: str, os_packages: Sequence[str]) -> list[dict[str, object]]:
    wanted = " ".join([base.python_packages.format(python), *sorted(os_packages)])
    archive, venv = f"{_WORK}/environment.tar", f"{_WORK}/installer"
    fetch: dict[str, object] = {
        "name": "FetchArchive",
        "action": "S3Download",
        "inputs": [{"source": "{{ Archive }}", "destination": archive}],
    }
    install = [
        f"tar --extract --file {archive} --directory {_WORK}",
        f"python{python} -m venv {venv}",
        f"{venv}/bin/python -m pip install --quiet --only-binary :all: --require-hashes "
        f"--requirement {_WORK}/builder/uv-requirements.txt",
        f"cd {_WORK}/builder",
        f"{venv}/bin/python -m ncap_iac.environments.install {archive} {IMAGE_FOLDER}",
    ]
    return [
        _bash("InstallPackages", ["set -eu", *base.prepare, f"{base.install} {wanted}", f"mkdir -p {_WORK}"]),
        fetch,
        _bash("CheckArchive", ["set -eu", f"echo '{{{{ Sha256 }}}}  {archive}' | sha256sum --check --strict"]),
        _bash("InstallEnvironment", ["set -eu", *install]),
        _bash("CleanUp", ["set -eu", f"rm -rf {_WORK}"]),
    ]


def _look() -> dict[str, object]:
    """That the machine finds what user data calls, and the image is sealed."""
    found = ["set -eu", f"test -f {IMAGE_FOLDER}/seal.json", "command -v shutdown", "neurocaas-boot --help"]
    return _bash("LookAtEnvironment", found)


def _bash(name: str, commands: list[str]) -> dict[str, object]:
    # One shell a step: `set -e` and `cd` hold for all its lines.
    return {"name": name, "action": "ExecuteBash", "inputs": {"commands": ["\n".join(commands)]}}
