#!/bin/sh
# Fetches Debian 12's Python 3.11 for arm64 and armhf and unpacks it, whole or not at all, for tests that run it under qemu.
# Nothing is installed and no setting of this machine changes: apt works in a folder of its own. Needs no root.
# Usage: tests/device/sysroots.sh [FOLDER]     (default: .sysroots in the checkout)
set -eu

out=${1:-$(dirname "$0")/../../.sysroots}
packages="python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libc6 libgcc-s1 libcrypt1 libexpat1 zlib1g
  libssl3 libffi8 libbz2-1.0 liblzma5"

fetch() {  # ARCHITECTURE FOLDER: its packages into the folder
  mkdir -p "$2/lists/partial" "$2/archives/partial"
  : >"$2/status"
  set -- "$1" "$2" -qq -o "APT::Architecture=$1" -o "APT::Architectures::=$1" -o APT::Sandbox::User= \
    -o "Dir::State=$2" -o "Dir::State::Lists=$2/lists" -o "Dir::State::Status=$2/status" -o "Dir::Cache=$2" \
    -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
  folder=$2
  shift 2
  apt-get "$@" update || true  # an index that a mirror has half replaced: the others are enough, or the next line fails
  (cd "$folder" && apt-get "$@" download $packages)
}

mkdir -p "$out"
out=$(cd "$out" && pwd)
for architecture in arm64 armhf; do
  [ -d "$out/$architecture" ] && continue
  work=$(mktemp -d "$out/.$architecture.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT TERM
  fetch "$architecture" "$work"
  mkdir "$work/root"
  for package in "$work"/*.deb; do
    dpkg-deb -x "$package" "$work/root"
  done
  mv "$work/root" "$out/$architecture"
  rm -rf "$work"
done
