"""Ends the way its config says: well, with exit code 3, or killed."""

import time

BEGAN = time.time()

import json
import os
import shutil
import signal
import sys
from pathlib import Path

data, config, results = (Path(argument) for argument in sys.argv[1:4])
wanted = json.loads(config.read_text())
print(f"mode {wanted['mode']}", flush=True)
time.sleep(wanted.get("seconds", 0))
if wanted["mode"] == "exit-3":
    print("the data is not what I expected", flush=True)
    sys.exit(3)
if wanted["mode"] == "kill-self":
    os.kill(os.getpid(), signal.SIGKILL)
if wanted["mode"] == "stamp":
    (results / f"{data.stem}_stamp.json").write_text(json.dumps({"began": BEGAN}))
    sys.exit(0)
if data.is_dir():
    found = sorted(str(path.relative_to(data)) for path in data.rglob("*") if path.is_file())
    (results / f"{data.stem}_copy.txt").write_text("".join(f"{name}\n" for name in found))
    sys.exit(0)
shutil.copy(data, results / f"{data.stem}_copy{data.suffix}")
