#!/usr/bin/env bash
# Packs the car's program for Debian 12 and 13. It builds nothing and takes a built program (make deb does both).
# Usage: scripts/deb.sh [--arch] amd64|arm64 BINARY LIBONNXRUNTIME [VERSION]
#   Writes build/deb/outrider_<version>_<arch>.deb; the version is Cargo.toml's unless another is given.
#   HERE=FILE            an outrider of the same source that runs on this machine, which writes manual pages and
#                        completions [default: BINARY]
#   DEB_MAINTAINER=...   who answers for the package, as "Name <address>"
# The same binary, library and commit give the same bytes, because every file time in the package is the commit's.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

[ "${1:-}" != --arch ] || shift
[ $# -ge 3 ] || die "usage: scripts/deb.sh amd64|arm64 BINARY LIBONNXRUNTIME [VERSION]"
arch=$1 binary=$2 library=$3
version=${4:-$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)}
maintainer=${DEB_MAINTAINER:-The Outrider contributors <maintainers@outrider.invalid>}
here=${HERE:-$binary}
case $arch in
  amd64) machine='Advanced Micro Devices X86-64' ;;
  arm64) machine=AArch64 ;;
  *) die "no package for the architecture $arch: amd64 and arm64 are" ;;
esac
[ -n "$version" ] || die "no version in Cargo.toml's [workspace.package]"
for file in "$binary" "$library"; do
  [ -f "$file" ] || die "$file is not there: build it first (make build, make arm64)"
  readelf -h "$file" | grep "Machine: *$machine" >/dev/null || die "$file is not built for $arch"
done
# The renderer, the replay and the embedded broker do not belong in a car (docs/decisions/0090-workspace-by-floors.md).
if "$here" --help | grep '^  demo ' >/dev/null; then
  die "$here has the demo in it: build with --no-default-features"
fi
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC
umask 022

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
put() { install -D -m "$1" "$2" "$root/$3"; }
doc=usr/share/doc/outrider

put 755 "$binary" usr/bin/outrider
# Beside the program's folder: it looks in ../lib/outrider by itself, whatever libraries the machine has.
put 644 "$library" usr/lib/outrider/libonnxruntime.so
if [ "$arch" = "$(dpkg --print-architecture)" ]; then strip=strip; else strip=aarch64-linux-gnu-strip; fi
command -v $strip >/dev/null || die "$strip is missing: install binutils for $arch"
$strip --strip-unneeded --remove-section=.comment "$root/usr/bin/outrider"
for model in models/*/model.toml; do
  folder=$(dirname "$model")
  put 644 "$model" "usr/share/outrider/$model"
  put 644 "$folder/model.onnx" "usr/share/outrider/$folder/model.onnx"
done
put 644 systemd/outrider.service usr/lib/systemd/system/outrider.service
put 644 packaging/outrider.sysusers usr/lib/sysusers.d/outrider.conf
put 644 packaging/outrider.tmpfiles usr/lib/tmpfiles.d/outrider.conf
put 644 packaging/60-outrider.rules usr/lib/udev/rules.d/60-outrider.rules

# The example, without anybody's car: what belongs to one is a comment, and the daemon refuses to start until it is set.
mkdir -p "$root/etc/outrider"
{
  cat <<'TEXT'
# This car's configuration. The daemon does not start before [vehicle] and one [[camera]] are set, and says so.
# Lines that begin with "#" and no space are an example of what has to be set; those with "# " state a default.
TEXT
  awk '
    /^\[/ { own = /^\[\[?(camera|hotlist|uplink)\]/ ; vehicle = /^\[vehicle\]/ ; if (/^\[\[/) { print "#" $0; next } }
    vehicle && /^(id|agency) = / { print "#" $0; sub(/= .*/, "= \"\""); print; next }
    own && /^[a-z]/ { print "#" $0; next }
    { print }
  ' examples/outrider.toml
} >"$root/etc/outrider/outrider.toml"

mkdir -p "$root/usr/share/man/man1" "$root/usr/share/bash-completion/completions" \
  "$root/usr/share/zsh/vendor-completions" "$root/usr/share/fish/vendor_completions.d"
"$here" man "$root/usr/share/man/man1"
"$here" completions bash >"$root/usr/share/bash-completion/completions/outrider"
"$here" completions zsh >"$root/usr/share/zsh/vendor-completions/_outrider"
"$here" completions fish >"$root/usr/share/fish/vendor_completions.d/outrider.fish"
gzip -9n "$root"/usr/share/man/man1/*

put 644 packaging/debian/copyright $doc/copyright
put 644 docs/install.md $doc/install.md
put 644 examples/outrider.toml $doc/examples/outrider.toml
put 644 THIRD-PARTY.md $doc/THIRD-PARTY.md
put 644 CHANGELOG.md $doc/CHANGES.md
notices=$(dirname "$library")/ThirdPartyNotices.txt
[ -f "$notices" ] || notices=build/onnxruntime/$([ "$arch" = arm64 ] && echo aarch64 || echo x86_64)/ThirdPartyNotices.txt
[ -f "$notices" ] || die "ONNX Runtime's notices are not beside $library: scripts/onnxruntime.sh fetches them"
put 644 "$notices" $doc/onnxruntime-notices.txt
# What all of it is made of, by name, version and digest; the program's digest is that of the packed file.
library_version=$(cut -d' ' -f1 "$(dirname "$library")/VERSION" 2>/dev/null || true)
[ -n "$library_version" ] || library_version=$(cut -d' ' -f1 "build/onnxruntime/$([ "$arch" = arm64 ] && echo aarch64 || echo x86_64)/VERSION")
target=$([ "$arch" = arm64 ] && echo aarch64 || echo x86_64)-unknown-linux-gnu
build=$("$here" --version | sed -n 's/.*(build \(.*\)).*/\1/p')
[ -n "$build" ] || die "$here does not say which commit it was built from"
[ "$build" != unknown ] || say "warning: $here was built without OUTRIDER_BUILD: the package names no commit"
python3 scripts/sbom.py "$target" "$version" "$build" "$root/usr/bin/outrider" "$library" "$library_version" models/*/model.toml >"$root/$doc/sbom.cdx.json"
cat >"$root/$doc/changelog" <<TEXT
outrider ($version) stable; urgency=medium

  * What changed for those who run it is in CHANGES.md.gz.

 -- $maintainer  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
TEXT
gzip -9n "$root/$doc"/{changelog,CHANGES.md,THIRD-PARTY.md,onnxruntime-notices.txt}
if [ -s packaging/debian/lintian-overrides ]; then put 644 packaging/debian/lintian-overrides usr/share/lintian/overrides/outrider; fi

# The packages that the two files' libraries are in, of the oldest Debian that has what they ask for.
needs=$(readelf -d "$binary" "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u)
glibc=$(objdump -T "$binary" "$library" 2>/dev/null | grep -o 'GLIBC_[0-9.]*' | cut -d_ -f2 | sort -V | tail -n 1)
[ -n "$glibc" ] || glibc=$(readelf -V "$binary" "$library" | grep -o 'GLIBC_[0-9.]*' | cut -d_ -f2 | sort -V | tail -n 1)
depends="libc6 (>= $glibc)"
for need in $needs; do
  case $need in
    libc.so.6 | libm.so.6 | libdl.so.2 | librt.so.1 | libpthread.so.0 | ld-linux-*) ;;
    libgcc_s.so.1) depends+=", libgcc-s1" ;;
    libstdc++.so.6) depends+=", libstdc++6" ;;
    libasound.so.2) depends+=", libasound2" ;;
    *) die "$need: scripts/deb.sh does not know which package it is in" ;;
  esac
done

mkdir -p "$root/DEBIAN"
cat >"$root/DEBIAN/control" <<TEXT
Package: outrider
Version: $version
Architecture: $arch
Maintainer: $maintainer
Installed-Size: $(du -k -s --apparent-size "$root" | cut -f1)
Depends: $depends, procps, systemd (>= 252)
Recommends: ffmpeg, gpsd, udev
Suggests: espeak-ng
Section: misc
Priority: optional
Description: in-vehicle licence-plate reader for public safety
 Reads licence plates from the car's cameras, checks them against hotlists that
 are kept in the car, and alerts the officer by sight and sound. Only hits leave
 the vehicle; what matches nothing is forgotten at once.
 .
 This is what a car needs: program, models and service. It starts nothing until
 the car is set up.
TEXT
echo /etc/outrider/outrider.toml >"$root/DEBIAN/conffiles"
install -m 755 packaging/debian/{postinst,prerm,postrm} "$root/DEBIAN/"
(cd "$root" && find . -path ./DEBIAN -prune -o -path ./etc -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
chmod 644 "$root"/DEBIAN/{control,conffiles,md5sums}
find "$root" -type d -exec chmod 755 {} +
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

mkdir -p build/deb
out=build/deb/outrider_${version}_$arch.deb
dpkg-deb --root-owner-group --threads-max=1 -Zxz --build "$root" "$out" >/dev/null
say "packed $out ($(stat -c %s "$out") bytes)"
