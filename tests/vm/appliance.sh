#!/usr/bin/env bash
# Puts the package through a car's life in a virtual machine with systemd: tests/vm/car.sh has the steps.
#
# usage: [HERE=FILE] tests/vm/appliance.sh FOLDER amd64|arm64 BINARY LIBONNXRUNTIME
#   FOLDER   holds what make vm-test has put there: the machine of tests/vm/machine.sh, usb_camera and usb_gpio (of examples/,
#            built), pictures/car.jpg, which shows the plate CKSV841, and pictures/road.jpg, which shows none;
#            takes console.log
#   amd64    or arm64: the processor of the car's computer, for which BINARY and LIBONNXRUNTIME are
#   BINARY   the car's program, which is packed twice: as this version, and as a later one
#   HERE     a program of the same source that runs on this machine, for the desk [default: BINARY]
#
# Nothing of a run stays in the machine: it starts from the same disk each time.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/lib.sh

[ $# -eq 4 ] || die "usage: [HERE=FILE] tests/vm/appliance.sh FOLDER amd64|arm64 BINARY LIBONNXRUNTIME"
vm=$(cd "$1" && pwd) arch=$2 binary=$3 library=$4
export HERE=${HERE:-$binary}
for made in vmlinuz initrd.gz root.img usb_camera usb_gpio pictures/car.jpg pictures/road.jpg; do
  [ -e "$vm/$made" ] || die "$vm/$made is not there: make vm-test makes it"
done
began=$SECONDS

# The desk, with what the package brings, and its program as this machine can run it.
say "a desk, and the car's stick"
share=$vm/share desk=$vm/desk
rm -rf "$share" "$desk"
mkdir -p "$share/broker" "$desk/files/lists"
now=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
later=$now+later
for version in "$now" "$later"; do scripts/deb.sh "$arch" "$binary" "$library" "$version"; done
package=build/deb/outrider_${now}_$arch.deb
dpkg-deb -x "$package" "$desk/package"
outrider=$desk/package/usr/bin/outrider
[ "$HERE" = "$binary" ] || install -m 755 "$HERE" "$outrider"
printf 'plate,category,priority\nCKSV841,stolen_vehicle,high\n' >"$desk/files/lists/stolen.csv"
printf 'vehicle,agency,cameras,roles\n4127,peel,,\n' >"$desk/cars.csv"
# Emulated, a picture takes a second: the smallest model, on a picture of half its size.
cat >"$desk/template.toml" <<'TOML'
[vehicle]
id = ""
agency = "peel"
[[camera]]
name = "front"
device = "/dev/v4l/by-path/platform-vhci_hcd.0-usb-0:1:1.0-video-index0"
width = 640
height = 480
fps = 10.0
[models]
detector = "plate-detector-light"
detector_input = [320, 192]
[gps]
source = "off"
[[hotlist]]
name = "stolen"
path = "/etc/outrider/lists/stolen.csv"
[uplink]
broker = "mqtts://10.77.0.1:8883"
client_id = ""
retry_most = "2s"
TOML
examples/broker/authority.sh new "$desk/fleet-ca" >/dev/null
examples/broker/authority.sh broker "$desk/fleet-ca" 10.77.0.1 >/dev/null
provision() {
  "$outrider" provision fleet "$desk/cars.csv" --template "$desk/template.toml" --files "$desk/files" \
    --authority "$desk/fleet-ca" --out "$desk/$1" --codes "$desk/$1.csv" >/dev/null
  cp "$desk/$1/4127.car" "$share/$1.car"
  sed -n 's/^4127,//p' "$desk/$1.csv" >"$share/$1.code"
}
provision first
# The one after a wipe: a car takes no package that is not newer than the last.
sleep 1.1
provision second
cp examples/broker/{mosquitto.conf,acl} "$desk"/fleet-ca/{ca.pem,broker.pem,broker.key} "$share/broker/"
cp "$package" "$share/now.deb"
mv "build/deb/outrider_${later}_$arch.deb" "$share/later.deb"
cp "$vm"/usb_{camera,gpio} "$vm"/pictures/{car,road}.jpg "$share/"
cp tests/vm/car.sh "$share/guest.sh"
cp tests/vm/probe.sh "$share/"

if [ "$arch" = amd64 ]; then
  mkdir -p "$vm/tpm"
  rm -f "$vm"/tpm/*
  swtpm socket --tpm2 --tpmstate "dir=$vm/tpm" --ctrl "type=unixio,path=$vm/tpm/socket" --terminate &
  tpm=$!
  trap 'kill $tpm 2>/dev/null || true' EXIT
  for _ in $(seq 50); do [ ! -S "$vm/tpm/socket" ] || break; sleep 0.1; done
fi

# An old processor is the faster one. QEMU calls a function for each number that AVX2 multiplies and adds: `outrider read` of
# one picture took 41 s of processor time with `-cpu max`, and 5.7 s with this one, which has no AVX (QEMU 7.2, 30 November 2026).
# So for arm64: start, camera, TPM and two pictures took 53 s of processor time with the one below, and 93 s with `-cpu max`
# (QEMU 7.2, 1 December 2026).
case $arch in
  amd64)
    computer=(qemu-system-x86_64 -M q35 -cpu Nehalem)
    computer+=(-chardev "socket,id=tpm,path=$vm/tpm/socket" -tpmdev "emulator,id=tpm,chardev=tpm" -device "tpm-tis,tpmdev=tpm")
    kernel='console=ttyS0 no_timer_check tsc=unstable'
    ;;
  arm64)
    # Its TPM is a program in it, because Debian's kernel has no driver for QEMU's (tests/vm/machine.sh).
    computer=(qemu-system-aarch64 -M virt -cpu cortex-a72)
    kernel='console=ttyAMA0'
    ;;
esac
# Its clock counts what it has done (icount: a nanosecond for an instruction): on a machine that has no time for it the
# car is slow by our clocks and not by its own, by which watchdog and steps go. At four nanoseconds it looked at a frame
# each 1.4 s, and a plate that is not seen for 1.5 s is another one.
say "the car starts; what it says is in $vm/console.log"
timeout "${OUTRIDER_VM_SECONDS:-10800}" "${computer[@]}" -accel tcg,thread=single,tb-size=512 -icount shift=0 -smp 1 -m 1536 \
  -nodefaults -nographic -no-reboot -serial stdio -rtc base=utc,clock=vm -kernel "$vm/vmlinuz" -initrd "$vm/initrd.gz" \
  -append "$kernel root=/dev/vda rw quiet loglevel=3 systemd.show_status=false mitigations=off nokaslr panic=-1" \
  -drive "file=$vm/root.img,if=none,id=disk,format=raw,snapshot=on" -device virtio-blk-pci,drive=disk -device virtio-rng-pci \
  -audiodev none,id=sound -device intel-hda -device hda-output,audiodev=sound \
  -virtfs "local,path=$share,mount_tag=host,security_model=none,multidevs=remap" </dev/null 2>&1 |
  sed -u 's/\r$//' | tee "$vm/console.log" || true
grep -q '^all of it: .* 0 failed$' "$vm/console.log" || die "not every step passed: $(grep -c '^FAIL' "$vm/console.log" || true) failed, or the car did not come to its end"
say "$(grep '^all of it: ' "$vm/console.log"), in $((SECONDS - began)) s"
