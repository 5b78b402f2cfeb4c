#!/usr/bin/env bash
# Makes a signed apt repository of every package in build/deb, for a web server or a stick.
# Usage: scripts/apt-repo.sh KEY [FOLDER]                                          (make apt-repo KEY=...)
#   KEY     which key of gpg's keyring signs: fingerprint or address. One is made once, on the desk that keeps it, by
#           gpg --quick-generate-key "Outrider packages <it@agency.example>" ed25519 sign 3y
#   FOLDER  where to [default: build/apt]; packages of earlier versions that are there stay, so that cars can go back.
# Cars trust the key by FOLDER/outrider-archive.gpg and nothing else (docs/install.md).
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: scripts/apt-repo.sh KEY [FOLDER]" >&2; exit 2; }
key=$1 folder=$(realpath -m "${2:-$(dirname "$0")/../build/apt}")
cd "$(dirname "$0")/.."
. scripts/lib.sh
for tool in gpg dpkg-scanpackages; do
  command -v $tool >/dev/null || die "$tool is missing: apt-get install gpg dpkg-dev"
done
gpg --batch --list-secret-keys "$key" >/dev/null 2>&1 || die "gpg has no secret key for $key"
shopt -s nullglob
packages=(build/deb/*.deb)
mkdir -p "$folder/pool"
for package in "${packages[@]}"; do cp -u "$package" "$folder/pool/"; done
cd "$folder"
packages=(pool/*.deb)
[ ${#packages[@]} -gt 0 ] || die "no package in build/deb: make deb first"

architectures=
for arch in amd64 arm64; do
  list=dists/stable/main/binary-$arch
  rm -rf "$list"
  mkdir -p "$list"
  # Every version, so that a car can be taken back to the one before.
  dpkg-scanpackages --multiversion --arch $arch pool 2>/dev/null >"$list/Packages"
  if [ ! -s "$list/Packages" ]; then rm -rf "$list"; continue; fi
  gzip -9nk "$list/Packages"
  architectures+=" $arch"
done
[ -n "$architectures" ] || die "no package for amd64 or arm64 in $folder/pool"

cd dists/stable
rm -f Release InRelease Release.gpg
{
  cat <<TEXT
Origin: Outrider
Label: Outrider
Suite: stable
Codename: stable
Architectures:$architectures
Components: main
Date: $(date -u -R)
SHA256:
TEXT
  find main -type f | LC_ALL=C sort | while read -r file; do
    printf ' %s %16d %s\n' "$(sha256sum <"$file" | cut -d' ' -f1)" "$(stat -c %s "$file")" "$file"
  done
} >Release.new
mv Release.new Release
gpg --batch --yes --local-user "$key" --digest-algo SHA512 --clearsign --output InRelease Release
gpg --batch --yes --local-user "$key" --digest-algo SHA512 --armor --detach-sign --output Release.gpg Release
gpg --batch --yes --output "$folder/outrider-archive.gpg" --export "$key"
say "$folder: ${#packages[@]} packages for$architectures, signed by $key"
