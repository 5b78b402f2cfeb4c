#!/usr/bin/env bash
# Cross-builds for the car's computer (aarch64 Linux) with Debian's own toolchain.
# Usage: cross/arm64.sh build   release daemon into build/arm64/, beside its ONNX Runtime
#        cross/arm64.sh devices FOLDER   the camera and the GPIO bridge in software of examples/ into FOLDER, for the virtual car
#        cross/arm64.sh test    unit tests of every crate under qemu-user, then one read that must equal x86-64's
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

target=aarch64-unknown-linux-gnu
if ! dpkg --print-foreign-architectures | grep -qx arm64 && [ "$(dpkg --print-architecture)" != arm64 ]; then
  as_root dpkg --add-architecture arm64
fi
install_packages scripts/packages-build.txt
install_packages cross/packages.txt
scripts/onnxruntime.sh aarch64

# Debian ships the aarch64 standard library for its own rustc only, so that one builds here; its
# folder is kept apart because its version differs from the host's. ALSA's pkg-config file is found in
# the foreign architecture's folder.
export CARGO_TARGET_DIR=${ARM64_TARGET_DIR:-target/arm64}
export PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_PATH=/usr/lib/aarch64-linux-gnu/pkgconfig
# An absolute path beats .cargo/config.toml, which names the host's library.
export ORT_DYLIB_PATH=$PWD/build/onnxruntime/aarch64/libonnxruntime.so
cross() { PATH=/usr/bin:/bin:$PATH CARGO_HOME=${CARGO_HOME:-$HOME/.cargo} RUSTUP_TOOLCHAIN='' /usr/bin/cargo "$1" --target "$target" "${@:2}"; }

# One picture read under emulation must give the same texts as on this machine.
same_read_as_here() {
  local picture=../shared/data/evaluation/e2e_eu/eu11.jpg here there
  if [ ! -e "$picture" ]; then
    skipped "reading under emulation" "../shared/data/evaluation is not beside the repository"
    return
  fi
  texts() { grep -o '"text":"[^"]*"'; }
  here=$(unset CARGO_TARGET_DIR PKG_CONFIG_PATH PKG_CONFIG_ALLOW_CROSS ORT_DYLIB_PATH; use_rust; scripts/onnxruntime.sh; cargo run --quiet --locked -- read --json --min-confidence 0.5 "$picture" | texts)
  there=$(timeout 600 qemu-aarch64-static "$CARGO_TARGET_DIR/$target/debug/outrider" read --json --min-confidence 0.5 "$picture" | texts)
  [ -n "$here" ] || die "no plate was read on this machine"
  [ "$here" = "$there" ] || die "aarch64 reads differently: here '$here', there '$there'"
  say "aarch64 under emulation reads what this machine reads: $here"
}

case ${1:-} in
  build)
    cross build --release --locked --no-default-features --bin outrider
    mkdir -p build/arm64
    cp "$CARGO_TARGET_DIR/$target/release/outrider" build/onnxruntime/aarch64/libonnxruntime.so build/arm64/
    say "built build/arm64/outrider ($(file -b build/arm64/outrider 2>/dev/null | cut -d, -f1-2))"
    ;;
  devices)
    [ $# -eq 2 ] || die "usage: cross/arm64.sh devices FOLDER"
    for device in usb_camera usb_gpio; do
      PATH=/usr/bin:/bin:$PATH /usr/bin/rustc --edition 2024 -O --target "$target" -C linker=aarch64-linux-gnu-gcc -o "$2/$device" "examples/$device.rs"
    done
    ;;
  test)
    # Emulation is some thirty times slower than the machine: few cases per property, and tests that run
    # against the clock stay with the host. So do those that qemu-user answers otherwise than a kernel:
    # it says ENOSYS to V4L2's ioctls and to a terminal's, and a program that cannot be started seems to start.
    # Built with `testing`, as the crates are for their own tests, so that the program below is not built anew.
    PROPTEST_CASES=8 cross test --locked --workspace --no-default-features --features testing --lib -- --skip live_camera --skip real_time_takes \
      --skip what_is_no_video_device --skip file_that_is_no_device --skip without_ffmpeg --skip terminal_echoes_again \
      --skip program_that_is_missing_silent_or_slow --skip hit_is_spoken_after_its_tone
    cross build --locked --workspace --no-default-features --features testing --bin outrider
    same_read_as_here
    ;;
  *) die "usage: cross/arm64.sh build|devices FOLDER|test" ;;
esac
