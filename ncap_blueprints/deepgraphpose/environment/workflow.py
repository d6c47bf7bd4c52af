"""DeepGraphPose (after Wu et al. 2020): tracks an animal's parts from few labels and many unlabelled frames.

    python workflow.py DATA CONFIG RESULTS

DATA is a DeepLabCut project (a folder or a .zip), CONFIG a JSON or YAML file of parameters, RESULTS a folder that
exists. Progress goes to stdout. Exit code 2 and one sentence on stderr: data or config cannot be used.
"""

from __future__ import annotations

import sys

from analysis_kit import run
from dgp_analysis import analyse

if __name__ == "__main__":
    sys.exit(run(analyse, folders=True))
