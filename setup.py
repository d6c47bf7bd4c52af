"""Packages and dependencies. Settings of the tools are in pyproject.toml."""

from setuptools import find_packages, setup

LOCAL = ["uv>=0.9,<1"]
"""What the local cloud and environment builds need beside the core: uv makes sealed Python environments."""

PLOTS = ["matplotlib>=3.9"]
"""What `--plot` of `ncap budget show` and `ncap usage` needs."""

EXPERIMENTS = [*PLOTS, "numpy>=2"]
"""What the figures of `experiments/` need."""

DEV = [
    *LOCAL,
    *EXPERIMENTS,
    "awscli>=1.40",
    "cfn-lint>=1.40",
    "hypothesis>=6.100",
    "moto[s3,dynamodb,ec2,ssm,iam,sts]>=5.1",
    "mypy>=1.15",
    "pytest>=8",
    "ruff>=0.11",
    "types-PyYAML",
    "types-jsonschema",
]
"""What the tests need: tools, a second emulator, the AWS command line as an outside client."""

setup(
    name="neurocaas",
    version="0.1.0",
    description="Neural data analyses as code: blueprints and profiles compiled into AWS stacks, or a local cloud.",
    license="BSD-3-Clause",
    python_requires=">=3.11",
    packages=[
        *find_packages(include=["ncap_iac", "ncap_iac.*"]),
        *find_packages("utils", include=["ncap_compiler", "ncap_compiler.*"]),
    ],
    package_dir={"ncap_compiler": "utils/ncap_compiler"},
    package_data={
        "ncap_compiler": ["py.typed", "schemas/*.json"],
        "ncap_iac": ["py.typed", "environments/*.txt", "local/*.txt", "analysis/template/**/*"],
    },
    install_requires=[
        "boto3>=1.37",
        "jsonschema>=4.23",
        "PyYAML>=6",
        "rich>=13",
        "troposphere>=4.8",
    ],
    extras_require={"local": LOCAL, "plots": PLOTS, "experiments": EXPERIMENTS, "dev": DEV},
    entry_points={"console_scripts": ["ncap = ncap_iac.cli:main"]},
)
