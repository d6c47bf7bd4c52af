#!/bin/sh
# enter.sh FOLDER COMMAND…: run COMMAND where FOLDER is /home/ubuntu. Homes of the machine stay where they are.
set -e
if [ "$1" != inside ]; then
    exec unshare --user --map-root-user --mount sh "$0" inside "$@"
fi
folder=$2
shift 2
mkdir -p "$folder.homes"
mount --rbind /home "$folder.homes"
mount -t tmpfs none /home
for home in "$folder.homes"/*; do
    [ -d "$home" ] || continue
    mkdir "/home/${home##*/}"
    mount --rbind "$home" "/home/${home##*/}"
done
mkdir -p /home/ubuntu
mount --bind "$folder" /home/ubuntu
exec "$@"
