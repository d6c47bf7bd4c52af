#!/bin/sh
# start.sh BUCKET DATA RESULTS CONFIG: makes the home folder that the paper's scripts name, and runs them.
# The machine image of the paper has it as /home/ubuntu. Here it is in the instance's scratch, so the scripts are run
# with that one path in place of the other.
set -e
here=$(dirname "$0")
home="$HOME/ubuntu"
mkdir -p "$home/anaconda3/bin" "$home/deepgraphpose/data" "$home/deepgraphpose/demo" "$home/contribdata"
: > "$home/.dlamirc"
for tool in activate zip; do
    cp "$here/$tool" "$home/anaconda3/bin/$tool"
    chmod +x "$home/anaconda3/bin/$tool"
done
for demo in run predict; do
    cp "$here/demo.py" "$home/deepgraphpose/demo/${demo}_dgp_demo.py"
done
for script in main.sh run_dgp.sh; do
    sed "s#/home/ubuntu#$home#g" "$here/$script" > "$home/$script"
    chmod +x "$home/$script"
done
exec "$home/main.sh" "$@" "$home/run_dgp.sh"
