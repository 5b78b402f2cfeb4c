#!/usr/bin/env bash
# A small virtual machine with a disk of its own, to be cut off from power: Debian's kernel, an
# initramfs with nothing but busybox and one of our test programs, an ext4 disk that stays.
#
# usage: tests/vm/power-cut.sh FOLDER PROGRAM
#   FOLDER   takes the kernel, the initramfs, the disk and boot.sh (the kernel is kept if it is there)
#   PROGRAM  tests/crash.rs as a test binary, run in the machine with the disk mounted at /state
#
# No KVM: emulation is slow and is there on every machine. Needs root for nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/lib.sh
. tests/vm/kernel.sh

[ $# -eq 2 ] || die "usage: tests/vm/power-cut.sh FOLDER PROGRAM"
vm=$1 program=$2
[ "$(uname -m)" = x86_64 ] || die "the machine for power cuts is x86-64 only"
mkdir -p "$vm"
vm=$(cd "$vm" && pwd)

# Modules in the order in which they load; those that the kernel has built in are passed over.
modules='virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk crc32c_generic libcrc32c crc16 mbcache jbd2 ext4 virtio-rng'

if [ ! -e "$vm/vmlinuz" ] || [ -d "$vm/kernel" ]; then
  install_packages <(printf 'qemu-system-x86\nbusybox-static\ncpio\ne2fsprogs\n')
  unpack_kernel "$vm" amd64
  mkdir -p "$vm/modules"
  for module in $modules; do
    file=$(find "$vm/kernel/lib/modules" -name "$module.ko*" -print -quit)
    [ -n "$file" ] || continue
    case $file in *.xz) xz -dc "$file" >"$vm/modules/$module.ko" ;; *) cp "$file" "$vm/modules/" ;; esac
  done
  rm -rf "$vm/kernel"
fi

say "initramfs with $(basename "$program")"
root=$vm/root
rm -rf "$root"
mkdir -p "$root"/{bin,proc,sys,dev,state,modules,tmp,run}
cp "$(command -v busybox)" "$root/bin/"
cp "$vm"/modules/* "$root/modules/"
for module in $modules; do [ ! -e "$root/modules/$module.ko" ] || echo "$module"; done >"$root/modules/list"
cp "$program" "$root/bin/load"
strip "$root/bin/load"
# The loader and every library that it asks for, where it asks for them.
ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done
cat >"$root/init" <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
while read -r module; do $b insmod "/modules/$module.ko" 2>/dev/null; done </modules/list
n=0; while [ ! -b /dev/vda ] && [ $n -lt 100 ]; do $b sleep 0.1; n=$((n + 1)); done
$b mount -t ext4 /dev/vda /state || echo "looked bad the disk cannot be mounted"
cut=$($b sed -n 's/.*cut=\([0-9]*\).*/\1/p' /proc/cmdline)
echo "clock $($b date -u +%FT%TZ), hctosys $($b cat /sys/class/rtc/rtc0/hctosys 2>/dev/null)"
OUTRIDER_TEST_CHILD=/state/car OUTRIDER_TEST_GUEST=1 OUTRIDER_TEST_ROUND=$cut OUTRIDER_TEST_PAUSE=10 \
  RUST_BACKTRACE=0 /bin/load --exact child_under_load --nocapture 2>&1
echo "looked bad the program ended by itself"
$b sync
$b poweroff -f
INIT
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet) | gzip -1 >"$vm/initrd.gz"
rm -rf "$root"

rm -f "$vm/disk.img"
truncate -s 512M "$vm/disk.img"
/sbin/mke2fs -q -F -t ext4 "$vm/disk.img"

# One processor, and no check of the timer: on a busy host an emulated one is late, and the kernel
# would take it for broken.
cat >"$vm/boot.sh" <<BOOT
#!/bin/sh
exec qemu-system-x86_64 -M pc -accel tcg,thread=multi -cpu max -smp 1 -m 640 -nodefaults -nographic \\
  -no-reboot -serial stdio -kernel $vm/vmlinuz -initrd $vm/initrd.gz \\
  -append "console=ttyS0 quiet loglevel=3 no_timer_check tsc=unstable edd=off mitigations=off nokaslr panic=-1 cut=\$1" \\
  -drive file=$vm/disk.img,if=none,id=d0,format=raw,cache=writeback -device virtio-blk-pci,drive=d0 \\
  -device virtio-rng-pci -rtc base=utc
BOOT
chmod +x "$vm/boot.sh"
say "machine in $vm: boot.sh N starts it"
