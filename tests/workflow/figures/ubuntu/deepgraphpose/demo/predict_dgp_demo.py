"""Stands for the network: writes a file for each video of the project, or fails when there is none."""

import argparse
import sys
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--dlcpath", type=Path)
parser.add_argument("--test", action="store_true")
options = parser.parse_args()
videos = sorted((options.dlcpath / "videos").glob("*.avi"))
if not videos:
    sys.exit("no video in the project")
for percent in range(0, 101, 10):
    sys.stdout.write(f"\r{percent}%")
sys.stdout.write("\n")
(options.dlcpath / "videos_pred").mkdir()
for video in videos:
    kind = "test" if options.test else "full"
    (options.dlcpath / "videos_pred" / f"{video.stem}_labeled.csv").write_text(f"{kind}\n")
