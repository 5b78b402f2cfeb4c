#!/usr/bin/env bash
# Installs, upgrades, downgrades, removes and purges the package in a Debian that has nothing else in it.
# Usage, as root: tests/package.sh BINARY LIBONNXRUNTIME [bookworm|trixie]        (make deb-test)
#   Packs the binary twice, which must give the same bytes, and once more as a later version; then lintian.
#   OUTRIDER_DEBIAN_ROOT=FOLDER  takes that minimal root instead of making one with debootstrap.
# No systemd runs in it: the unit is checked by systemd-analyze, nothing is started.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
trap 'echo "error: line $LINENO ended with $?: $BASH_COMMAND" >&2' ERR

[ $# -ge 2 ] || die "usage: tests/package.sh BINARY LIBONNXRUNTIME [SUITE]"
binary=$1 library=$2 suite=${3:-bookworm}
[ "$(id -u)" -eq 0 ] || die "this test makes a root file system and mounts /proc in it: run it as root"
arch=$(dpkg --print-architecture)
passed=0
holds() { if "${@:2}"; then passed=$((passed + 1)); else die "not so: $1"; fi; }
not() { ! "$@"; }
says() { grep -qF -- "$1" <<<"$2"; }

scripts/deb.sh "$arch" "$binary" "$library"
now=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
later=$now+later
deb=$PWD/build/deb/outrider_${now}_$arch.deb higher=$PWD/build/deb/outrider_${later}_$arch.deb
once=$(sha256sum <"$deb")
sleep 1
scripts/deb.sh "$arch" "$binary" "$library"
holds "packed twice, the bytes are the same" [ "$once" = "$(sha256sum <"$deb")" ]
materials=$(dpkg-deb --fsys-tarfile "$deb" | tar -xO ./usr/share/doc/outrider/sbom.cdx.json)
for part in '"bomFormat": "CycloneDX"' '"name": "onnxruntime"' '"name": "plate-ocr-small"' '"name": "ring"' '"name": "openssl-src"'; do
  holds "the bill of materials has $part" says "$part" "$materials"
done
holds "what only tests use is in no bill" not says '"name": "proptest"' "$materials"
packed=$(dpkg-deb --fsys-tarfile "$deb" | tar -xO ./usr/bin/outrider | sha256sum | cut -d' ' -f1)
holds "the bill has the digest of the packed program" says "$packed" "$materials"
if command -v lintian >/dev/null; then
  complaints=$(lintian --allow-root --tag-display-limit 0 "$deb" 2>&1 || true)
  holds "lintian has nothing to say: $complaints" [ -z "$complaints" ]
else
  skipped "lintian of the package" "lintian is not installed"
fi
scripts/deb.sh "$arch" "$binary" "$library" "$later"

base=${OUTRIDER_DEBIAN_ROOT:-$PWD/build/package/$suite}
if [ ! -x "$base/usr/bin/dpkg" ]; then
  command -v debootstrap >/dev/null || die "debootstrap is missing: apt-get install debootstrap"
  say "making a minimal Debian $suite in $base"
  mkdir -p "$(dirname "$base")"
  # The mirror that this machine itself is installed from.
  mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m 1 '/debian/\?$' || true)}
  [ -n "$mirror" ] || die "this machine's apt names no Debian mirror: set DEBIAN_MIRROR"
  debootstrap --variant=minbase --include=ca-certificates "$suite" "$base.new" "$mirror" >"$base.log" 2>&1 ||
    die "debootstrap $suite failed: $(tail -n 1 "$base.log")"
  mv "$base.new" "$base"
fi

root=$(mktemp -d)
cleanup() { umount "$root/proc" 2>/dev/null || true; rm -rf --one-file-system "$root"; }
trap cleanup EXIT
cp -a "$base/." "$root/"
cp /etc/resolv.conf "$root/etc/resolv.conf"
mount -t proc proc "$root/proc"
cp "$deb" "$root/tmp/now.deb"
cp "$higher" "$root/tmp/higher.deb"
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive "$@"; }
as_daemon() { inside runuser -u outrider -- "$@"; }
version_is() { [ "$(inside dpkg-query -W -f '${Version}' outrider)" = "$1" ]; }
rights() { inside stat -c '%a %U:%G' "$1"; }

say "install $now"
inside apt-get update -qq
inside apt-get install -y -qq --no-install-recommends /tmp/now.deb >"$root/tmp/install.log" 2>&1 || die "install: $(tail -n 5 "$root/tmp/install.log")"
log=$(cat "$root/tmp/install.log")
holds "install says what is missing" says 'vehicle.id' "$log"
holds "install says that nothing was started" says 'installed, not started' "$log"
holds "install names the verdict" says 'FAIL  failed: 1' "$log"
holds "the unit is not enabled" test ! -e "$root/etc/systemd/system/multi-user.target.wants/outrider.service"
holds "the program says its version" says "outrider " "$(inside outrider --version)"
holds "the user is there, without a shell" says '/usr/sbin/nologin' "$(inside getent passwd outrider)"
groups=" $(inside id -nG outrider) "
holds "the user may use cameras" says ' video ' "$groups"
holds "the user may use sound" says ' audio ' "$groups"
holds "/etc/outrider" [ "$(rights /etc/outrider)" = '750 root:outrider' ]
holds "configuration" [ "$(rights /etc/outrider/outrider.toml)" = '640 root:outrider' ]
holds "keys" [ "$(rights /etc/outrider/keys)" = '750 root:outrider' ]
holds "state" [ "$(rights /var/lib/outrider)" = '700 outrider:outrider' ]
refused=$(as_daemon outrider run 2>&1 || true)
holds "half set up, it does not start: $refused" says 'vehicle.id' "$refused"
code=0
as_daemon outrider run >/dev/null 2>&1 || code=$?
holds "and ends with 78, from which the unit is not restarted" [ "$code" = 78 ]
holds "no device key is made by it" test ! -e "$root/var/lib/outrider/device.key"
build=$(inside outrider --version | sed -n 's/.*(build \(.*\)).*/\1/p')
holds "the program names the build that the bill of materials names: $build" says "\"value\": \"$build\"" "$materials"
# Without systemd-analyze's own complaints about a root without a running systemd.
mistakes=$(inside systemd-analyze verify outrider.service 2>&1 | grep -i outrider || true)
holds "the unit has no mistakes: $mistakes" [ -z "$mistakes" ]
holds "a manual page is there" test -s "$root/usr/share/man/man1/outrider-check.1.gz"

say "set up, and looked at as the daemon's user"
inside sed -i -e 's/^id = ""/id = "4127"/' -e 's/^agency = ""/agency = "peel"/' /etc/outrider/outrider.toml
# Without a camera it starts, says so, answers, and stops in order.
without=$root/tmp/without.log
as_daemon outrider run >"$without" 2>&1 &
for _ in $(seq 300); do if grep -q 'ready, console' "$without" || ! kill -0 $! 2>/dev/null; then break; fi; sleep 0.1; done
holds "without a camera it starts: $(cat "$without")" says 'NOT READING: no camera is configured' "$(cat "$without")"
status=$(as_daemon outrider status 2>&1 || true)
holds "outrider status asks it: $status" says 'vehicle 4127 of peel' "$status"
inside sh -c 'kill -TERM $(pidof outrider)'
wait $! || true
rm -f "$root/var/lib/outrider/device.key"
printf 'plate\nCKSV841\n' >"$root/etc/outrider/lists/stolen.csv"
printf 'secret\n' >"$root/etc/outrider/keys/test.key"
chmod 600 "$root/etc/outrider/keys/test.key"
cat >>"$root/etc/outrider/outrider.toml" <<'TEXT'
[[camera]]
name = "front"
device = "/dev/v4l/by-path/none"
[[hotlist]]
name = "stolen"
path = "/etc/outrider/lists/stolen.csv"
TEXT
inside systemd-tmpfiles --create outrider.conf
holds "a key is root's, for the daemon to read" [ "$(rights /etc/outrider/keys/test.key)" = '640 root:outrider' ]
holds "the daemon's user reads it" [ "$(as_daemon cat /etc/outrider/keys/test.key)" = secret ]
holds "and cannot change it" not as_daemon sh -c 'echo x >/etc/outrider/keys/test.key' 2>/dev/null
holds "nobody else reads it" not inside runuser -u nobody -- cat /etc/outrider/keys/test.key 2>/dev/null
checked=$(as_daemon outrider check 2>&1 || true)
holds "the library is found by itself: $checked" says 'from /usr/bin/../lib/outrider/libonnxruntime.so' "$checked"
holds "the models are found: $checked" says 'ok    models' "$checked"
holds "the list is read" says 'ok    hotlist stolen' "$checked"
holds "what fails is named" says 'FAIL  camera front' "$checked"
holds "the last line is the verdict" says 'FAIL  failed: ' "$(tail -n 2 <<<"$checked")"
# `run` may have made it before it looked for cameras.
device=$(as_daemon outrider provision device 2>&1 || true)
holds "the daemon's user makes its key: $device" [ "$(rights /var/lib/outrider/device.key)" = '600 outrider:outrider' ]

same() { inside cat /etc/outrider/outrider.toml /var/lib/outrider/device.key /etc/outrider/keys/test.key | sha256sum; }
before=$(same)
say "upgrade to $later, downgrade to $now"
inside dpkg -i --force-confold /tmp/higher.deb >"$root/tmp/upgrade.log" 2>&1 || die "upgrade: $(tail -n 5 "$root/tmp/upgrade.log")"
holds "upgraded" version_is "$later"
holds "configuration, keys and state are as before" [ "$(same)" = "$before" ]
inside dpkg -i --force-confold /tmp/now.deb >"$root/tmp/downgrade.log" 2>&1 || die "downgrade: $(tail -n 5 "$root/tmp/downgrade.log")"
holds "downgraded" version_is "$now"
holds "configuration, keys and state are as before" [ "$(same)" = "$before" ]

say "a package of the fleet's desk, taken in by root"
desk=$root/tmp/desk
mkdir -p "$desk/files/keys"
printf 'vehicle,agency,cameras,roles\n4127,peel,,\n' >"$desk/cars.csv"
cat >"$desk/template.toml" <<'TEXT'
[vehicle]
id = ""
agency = "peel"
[trust]
root = "/etc/outrider/root.pub.json"
[uplink]
broker = "mqtts://broker.example"
[[hotlist]]
name = "stolen"
source = "mqtt"
key = "/etc/outrider/keys/stolen.key"
TEXT
at_desk() { inside sh -c "cd /tmp/desk && $1"; }
at_desk "outrider provision root --out root.key --public files/root.pub.json && outrider provision list-key --out files/keys/stolen.key" >/dev/null 2>&1
at_desk "outrider provision fleet cars.csv --template template.toml --files files --authority ca --out packages --codes codes.csv" >/dev/null 2>&1
at_desk "umask 077; sed -n 's/^4127,//p' codes.csv >code"
taken=$(at_desk "outrider provision take packages/4127.car --code-file code" 2>&1)
holds "the car takes its package: $taken" says 'this car is vehicle 4127 of peel' "$taken"
holds "which is gone" test ! -e "$desk/packages/4127.car"
holds "its TLS key is root's, for the daemon to read" [ "$(rights /etc/outrider/tls/vehicle.key)" = '640 root:outrider' ]
holds "the daemon's user reads it" as_daemon test -r /etc/outrider/tls/vehicle.key
checked=$(as_daemon outrider check 2>&1 || true)
holds "check says how long the certificate holds: $checked" says 'ok    certificate' "$checked"
rm -rf "$desk"
before=$(same)

say "a signed apt repository"
if command -v gpg >/dev/null && command -v dpkg-scanpackages >/dev/null; then
  GNUPGHOME=$(mktemp -d)
  export GNUPGHOME
  gpg --batch --quiet --passphrase '' --quick-generate-key 'test <test@outrider.invalid>' ed25519 sign 1d 2>/dev/null
  mkdir -p "$root/srv/apt"
  scripts/apt-repo.sh test@outrider.invalid "$root/srv/apt"
  inside install -m 644 /srv/apt/outrider-archive.gpg /usr/share/keyrings/outrider-archive.gpg
  echo "deb [signed-by=/usr/share/keyrings/outrider-archive.gpg] file:/srv/apt stable main" >"$root/etc/apt/sources.list.d/outrider.list"
  ours() { inside apt-get update -o Dir::Etc::sourcelist=/etc/apt/sources.list.d/outrider.list -o Dir::Etc::sourceparts=/dev/null "$@" 2>&1; }
  answer=$(ours || true)
  holds "apt takes the repository: $answer" not grep -qE '^(W|E):' <<<"$answer"
  holds "apt upgrades from it" inside apt-get install -y -qq -o Dpkg::Options::=--force-confold "outrider=$later" >"$root/tmp/apt.log" 2>&1
  holds "upgraded by apt" version_is "$later"
  holds "and goes back" inside apt-get install -y -qq --allow-downgrades -o Dpkg::Options::=--force-confold "outrider=$now" >"$root/tmp/apt.log" 2>&1
  holds "back by apt" version_is "$now"
  holds "configuration, keys and state are as before" [ "$(same)" = "$before" ]
  sed -i 's/^Version: .*/Version: 9/' "$root/srv/apt/dists/stable/main/binary-$arch/Packages"
  gzip -9nkf "$root/srv/apt/dists/stable/main/binary-$arch/Packages"
  # As a car that has not fetched it yet: apt asks for a list again only when the signed digest is another.
  rm -f "$root"/var/lib/apt/lists/*srv_apt*
  answer=$(ours || true)
  holds "a changed list of packages is refused: $answer" grep -qE '^E:' <<<"$answer"
  gpg --batch --quiet --passphrase '' --quick-generate-key 'other <other@outrider.invalid>' ed25519 sign 1d 2>/dev/null
  scripts/apt-repo.sh other@outrider.invalid "$root/srv/apt" >/dev/null
  answer=$(ours || true)
  holds "another's signature is refused: $answer" grep -qE '^(W|E):.*(NO_PUBKEY|not signed|signature)' <<<"$answer"
  rm -rf "$GNUPGHOME" "$root/srv/apt" "$root/etc/apt/sources.list.d/outrider.list" "$root/usr/share/keyrings/outrider-archive.gpg"
  rm -f "$root"/var/lib/apt/lists/*srv_apt*
  unset GNUPGHOME
else
  skipped "the signed apt repository" "gpg or dpkg-scanpackages (dpkg-dev) is not installed"
fi

say "remove, install again, purge"
inside dpkg --remove outrider >/dev/null 2>&1
holds "the program is gone" test ! -e "$root/usr/bin/outrider"
holds "configuration, keys and state stay" [ "$(same)" = "$before" ]
inside dpkg -i /tmp/now.deb >/dev/null 2>&1
holds "and serve again" says 'ok    configuration' "$(as_daemon outrider check 2>&1 || true)"
uid=$(inside id -u outrider)
inside dpkg --purge outrider >"$root/tmp/purge.log" 2>&1 || die "purge: $(tail -n 5 "$root/tmp/purge.log")"
left=$(inside find / -xdev \( -path /proc -o -path /tmp -o -path /sys \) -prune -o \( -iname '*outrider*' -o -uid "$uid" \) -print)
holds "nothing stays: $left" [ -z "$left" ]
holds "not the user either" not inside getent passwd outrider >/dev/null
holds "dpkg knows nothing of it" not inside dpkg-query -W outrider >/dev/null 2>&1
say "$passed statements hold on Debian $(cat "$root/etc/debian_version"): $(basename "$deb"), $(stat -c %s "$deb") bytes, $(dpkg-deb -f "$deb" Installed-Size) KiB installed"
