#!/usr/bin/env bash
# A virtual car's computer: Debian 12 with systemd as PID 1, Debian's kernel, a camera's driver and nothing of ours.
#
# usage: tests/vm/machine.sh FOLDER amd64|arm64
#   FOLDER   takes vmlinuz, initrd.gz and root.img; does nothing where all three are there and are newer than this script
#   amd64    or arm64: the processor of the car's computer
#
# No KVM: emulation is slow and is there on every machine. Needs root, as whoever makes a root file system does.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/lib.sh
. tests/vm/kernel.sh

[ $# -eq 2 ] || die "usage: tests/vm/machine.sh FOLDER amd64|arm64"
arch=$2
case $arch in
  amd64) emulator=qemu-system-x86 console=ttyS0 ;;
  arm64) emulator=qemu-system-arm console=ttyAMA0 ;;
  *) die "no virtual car has the architecture $arch: amd64 and arm64 are" ;;
esac
[ "$(uname -m)" = x86_64 ] || die "virtual cars of either architecture are made on x86-64 only"
[ "$(id -u)" -eq 0 ] || die "this makes a root file system with its owners: run it as root"
mkdir -p "$1"
vm=$(cd "$1" && pwd)
for made in vmlinuz initrd.gz root.img; do
  [ "$vm/$made" -nt tests/vm/machine.sh ] || stale=$made
done
[ -n "${stale:-}" ] || exit 0

# Lets this machine's kernel run programs for arm64, which packages of that root do when they are installed. Where
# somebody has seen to that before, nothing is changed; else what is said to the kernel here is taken back at the end.
run_arm64_programs() {
  local misc=/proc/sys/fs/binfmt_misc name=outrider-vm-arm64
  ! arch-test arm64 >/dev/null 2>&1 || return 0
  [ -e $misc/register ] || mount -t binfmt_misc binfmt_misc $misc ||
    die "this kernel has no binfmt_misc to mount, and the packages of an arm64 root run programs for arm64"
  # The magic is Debian's (/usr/lib/binfmt.d/qemu-aarch64.conf). F: the emulator is opened now, not below the new root.
  sed -n "s/^:qemu-aarch64:\(M::.*:.*\):[^:]*:[A-Z]*$/:$name:\1:\/usr\/bin\/qemu-aarch64-static:OCF/p" /usr/lib/binfmt.d/qemu-aarch64.conf >$misc/register ||
    die "the kernel does not take qemu-aarch64-static as what runs programs for arm64"
  trap 'echo -1 >/proc/sys/fs/binfmt_misc/outrider-vm-arm64' EXIT
  arch-test arm64 >/dev/null || die "programs for arm64 do not run here, although qemu-aarch64-static is registered for them"
}

# mmdebstrap makes the root; swtpm is a TPM in software.
install_packages <(printf '%s\n' "$emulator" busybox-static cpio e2fsprogs kmod mmdebstrap swtpm)
if [ "$arch" = arm64 ]; then
  install_packages <(printf '%s\n' arch-test qemu-user-static)
  run_arm64_programs
fi
unpack_kernel "$vm" "$arch"
version=$(basename "$vm"/kernel/lib/modules/*)
depmod -b "$vm/kernel" "$version"

# Modules that NAME... take, in the order in which they load, as paths below the kernel's folder.
modules() {
  local module
  for module in "$@"; do
    modprobe -S "$version" -d "$vm/kernel" --show-depends "$module" 2>/dev/null | awk '/^insmod/ {print $2}'
  done | awk '!seen[$0]++'
}

say "initramfs"
early=$vm/early
rm -rf "$early"
mkdir -p "$early"/{bin,proc,sys,dev,newroot,modules}
if [ "$arch" = "$(dpkg --print-architecture)" ]; then
  cp "$(command -v busybox)" "$early/bin/"
else
  (cd "$early" && apt-get download -qq "busybox-static:$arch" && dpkg-deb -x busybox-static_*.deb package && mv package/bin/busybox bin/ && rm -r package busybox-static_*.deb)
fi
for file in $(modules virtio_pci virtio_blk virtio_rng ext4 9p 9pnet_virtio); do
  cp "$file" "$early/modules/"
  basename "$file" >>"$early/modules/list"
done
cat >"$early/init" <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
while read -r module; do $b insmod "/modules/$module"; done </modules/list
n=0; while [ ! -b /dev/vda ] && [ $n -lt 100 ]; do $b sleep 0.1; n=$((n + 1)); done
$b mount -t ext4 /dev/vda /newroot || exec $b poweroff -f
# What the host gives: the package, the steps.
$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000 host /newroot/mnt
$b umount /proc /sys
$b mount --move /dev /newroot/dev
exec $b switch_root /newroot /sbin/init
INIT
chmod +x "$early/init"
(cd "$early" && find . | cpio -o -H newc --quiet) | gzip -1 >"$vm/initrd.gz"
rm -rf "$early"

say "Debian 12 with systemd"
root=$vm/root
rm -rf "$root"
# The mirror that this machine itself is installed from.
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m 1 '/debian/\?$' || true)}
[ -n "$mirror" ] || die "this machine's apt names no Debian mirror: set DEBIAN_MIRROR"
# What our package depends on, so that the car installs it without a network; what systemd needs for a TPM, and its
# tools; and what the steps themselves use.
packages=systemd,systemd-sysv,udev,dbus,kmod,procps,iproute2,curl,mosquitto,libasound2,libstdc++6,libgcc-s1
packages+=,tpm2-tools,libtss2-esys-3.0.2-0,libtss2-rc0,libtss2-mu0,libtss2-tcti-device0
# Debian 12's kernel for arm64 has no driver for the TPM that QEMU would give (CONFIG_TCG_TIS is not set), but one for a
# TPM that is a program on the same machine: the car runs it itself (tests/vm/car.sh).
if [ "$arch" = arm64 ]; then packages+=,swtpm tpm=tpm_vtpm_proxy; else tpm=tpm_tis; fi
mmdebstrap --quiet --mode=root --variant=minbase --architectures="$arch" --include="$packages" --aptopt='Apt::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='path-exclude=/usr/share/man/*' bookworm "$root" "$mirror"
place=$root/lib/modules/$version
mkdir -p "$place"
for file in $(modules uvcvideo vhci_hcd 9p 9pnet_virtio virtio_pci virtio_blk virtio_rng ext4 snd_hda_intel snd_hda_codec_generic $tpm \
  uhid hid-cp2112 hid-mcp2221); do
  install -D -m 644 "$file" "$place/${file#*/modules/"$version"/}"
done
cp "$vm/kernel/lib/modules/$version"/modules.{builtin,order,builtin.modinfo} "$place/"
depmod -b "$root" "$version"
echo car >"$root/etc/hostname"
: >"$root/etc/fstab"
: >"$root/etc/machine-id"
# What the host has put there is run once the machine is up, and the machine goes off after it.
cat >"$root/etc/systemd/system/steps.service" <<UNIT
[Unit]
Description=The steps of tests/vm
After=multi-user.target dbus.service
[Service]
Type=oneshot
ExecStart=/bin/bash /mnt/guest.sh
StandardOutput=tty
StandardError=tty
TTYPath=/dev/$console
ExecStopPost=/bin/systemctl poweroff --no-block
UNIT
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../steps.service "$root/etc/systemd/system/multi-user.target.wants/"
# The car's broker is started by the steps; the console is the report.
rm -f "$root"/etc/systemd/system/multi-user.target.wants/mosquitto.service
ln -s /dev/null "$root/etc/systemd/system/serial-getty@$console.service"
rm -f "$vm/root.img"
truncate -s 1G "$vm/root.img"
/sbin/mke2fs -q -F -t ext4 -d "$root" "$vm/root.img"
rm -rf "$root" "$vm/kernel"
say "machine in $vm"
