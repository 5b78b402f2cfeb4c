# Sourced by the scripts of this folder: Debian's kernel for a virtual machine of theirs, without a boot loader.
# shellcheck shell=bash

# Unpacks Debian's newest kernel for ARCH into FOLDER/kernel, where it is not there yet, and puts the image at FOLDER/vmlinuz.
unpack_kernel() {
  local folder=$1 arch=$2 image
  [ ! -d "$folder/kernel" ] || return 0
  image=$(apt-cache depends "linux-image-$arch:$arch" | awk '/Depends: linux-image/ {print $2; exit}')
  [ -n "$image" ] || die "apt knows no linux-image-$arch:$arch"
  say "kernel $image"
  mkdir -p "$folder/kernel.new"
  (cd "$folder" && apt-get download -qq "$image")
  # apt writes an architecture that is not this machine's behind the name, and not into the name of the file.
  dpkg-deb -x "$folder/${image%:*}"_*.deb "$folder/kernel.new"
  rm -f "$folder/${image%:*}"_*.deb
  cp "$folder"/kernel.new/boot/vmlinuz-* "$folder/vmlinuz"
  mv "$folder/kernel.new" "$folder/kernel"
}
