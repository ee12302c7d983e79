#!/bin/sh
# Installs this folder as a service that starts with the board.
set -eu

usage() {
  cat <<END
usage: sudo ./install.sh [options] [-- options of the runner]
  --prefix DIR   where it goes (/opt/niwaki)
  --user NAME    who runs it (niwaki); made if there is no such user
  --dry-run      say what would be done, do nothing
  --uninstall    stop the service, remove it and the folder
Options after -- are given to ./start at every start, for example:
  sudo ./install.sh -- --source csi:0 --speak ko
With DESTDIR set, files go below that folder, and neither users nor services are touched.
END
}

fail() {
  echo "install.sh: $1" >&2
  exit 2
}

quoted() { # an argument as it stands in a service
  case $1 in
    *[[:cntrl:]]*) fail "option of the runner with a line break or another control character: a service takes none" ;;
    '' | *[!A-Za-z0-9_./:=,@+?\&-]*) printf ' "%s"' "$(printf '%s' "$1" | sed -e 's/[\\"]/\\&/g' -e 's/[%$]/&&/g')" ;;
    *) printf ' %s' "$1" ;;
  esac
}

prefix=/opt/niwaki user=niwaki dry= uninstall= options=
while [ $# -gt 0 ]; do
  case $1 in
    --prefix) [ $# -gt 1 ] || fail "--prefix: expected a folder"; prefix=$2; shift ;;
    --user) [ $# -gt 1 ] || fail "--user: expected a name"; user=$2; shift ;;
    --dry-run) dry=yes ;;
    --uninstall) uninstall=yes ;;
    --help | -h) usage; exit 0 ;;
    --)
      shift
      for option; do
        more=$(quoted "$option") || exit
        options=$options$more
      done
      break
      ;;
    *) usage >&2; fail "$1: no such option" ;;
  esac
  shift
done

case $prefix in
  / | /usr | /home | /etc | /var | */ | */../* | */.. | *[!A-Za-z0-9/._-]*)
    fail "--prefix $prefix: expected a folder of its own, as in /opt/niwaki (letters, digits, . _ -)" ;;
  /*) ;;
  *) fail "--prefix $prefix: expected a path from the root, as in /opt/niwaki" ;;
esac
case $user in
  '' | -* | *[!A-Za-z0-9_-]*) fail "--user $user: expected a user's name" ;;
esac

here=$(dirname -- "$(readlink -f -- "$0")")
root=${DESTDIR:-}
unit=$root/etc/systemd/system/niwaki.service
place=$root$prefix

run() {
  echo "+ $*"
  [ -n "$dry" ] || "$@"
}

system() { # what is not a file: left alone with DESTDIR
  [ -n "$root" ] || run "$@"
}

own() { # a folder that a bundle's files lie in, and nobody else's
  [ -f "$1/bundle.json" ] && [ -f "$1/manifest.json" ]
}

write_unit() {
  echo "+ write $unit"
  [ -z "$dry" ] || return 0
  mkdir -p "$(dirname -- "$unit")"
  given=$(printf '%s' "$options" | sed 's/[\\&|]/\\&/g')
  sed -e "s|@PREFIX@|$prefix|g" -e "s|@USER@|$user|g" -e "s| @OPTIONS@|$given|" \
    "$here/niwaki.service" >"$unit.new"
  mv "$unit.new" "$unit"
}

if [ -z "$dry" ] && [ -z "$root" ] && [ "$(id -u)" != 0 ]; then
  fail "needs root: sudo ./install.sh (or --dry-run)"
fi

if [ -n "$uninstall" ]; then
  if [ -e "$place" ] && ! own "$place"; then fail "$place: is not a niwaki bundle: nothing was removed"; fi
  [ ! -e "$unit" ] || system systemctl disable --now niwaki.service
  run rm -f "$unit"
  system systemctl daemon-reload
  [ ! -e "$place" ] || run rm -r "$place"
  echo "Removed. The user $user and /var/lib/niwaki (recordings) are still there."
  exit 0
fi

own "$here" || fail "$here: is not a niwaki bundle"
if [ -e "$place" ] && ! own "$place"; then fail "$place: exists and is not a niwaki bundle: give another --prefix"; fi
if [ "$here" = "$(readlink -f -- "$place")" ]; then fail "$place: is this very folder: start install.sh from a copy"; fi
there=$place
until [ -e "$there" ]; do there=$(dirname -- "$there"); done
there=$(readlink -f -- "$there")
case $there/ in "$here"/*) fail "--prefix $prefix: lies in the folder that is to be copied: give another" ;; esac
if [ -e "$place" ]; then
  case $here/ in "$there"/*) fail "$place: this folder lies in it and would be removed: move it elsewhere first" ;; esac
fi
"$here/niwaki" selftest || fail "the program does not run here, or gives other numbers: is this bundle for this board?"

id "$user" >/dev/null 2>&1 || system useradd --system --no-create-home --shell /usr/sbin/nologin "$user"
for group in video audio render; do
  ! getent group "$group" >/dev/null 2>&1 || system usermod -a -G "$group" "$user"
done
run mkdir -p "$(dirname -- "$place")"
run rm -rf "$place.new"
run cp -R "$here" "$place.new"
run chmod -R go-w,a+rX "$place.new"
[ ! -e "$unit" ] || system systemctl stop niwaki.service
[ ! -e "$place" ] || run rm -r "$place"
run mv "$place.new" "$place"
write_unit
system systemctl daemon-reload
system systemctl enable --now niwaki.service
[ -n "$dry" ] || echo "Installed in $place. Its output: journalctl -u niwaki -f"
