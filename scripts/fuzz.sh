#!/usr/bin/env bash
# Builds the fuzz targets and runs each for SECONDS_EACH (60): scripts/fuzz.sh [target...]
# Inputs that reach new code are collected in build/fuzz/corpus/<target>; an input that breaks something is left in build/fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

seconds=${SECONDS_EACH:-60}
work=$PWD/build/fuzz
built=${FUZZ_TARGET_DIR:-$work/target}
mkdir -p "$work"
say "building the targets"
RUSTC_WRAPPER=$PWD/scripts/fuzz-rustc.sh CARGO_TARGET_DIR=$built \
  cargo build --quiet --locked --manifest-path fuzz/Cargo.toml
# Well-formed inputs to begin with: the vectors of docs/formats.md, our mappings and samples.
seeds=$work/seeds
rm -rf "$seeds"
mkdir -p "$seeds"/{audit_export,chunk,control,evidence,hotplate,import,manifest,mapping,policy,taip,trust}
vector() { sed -n "s/^$1 = //p" docs/formats.md | tail -n 1; }
printf '%b' "$(vector record | sed 's/../\\x&/g')" >"$seeds/chunk/record"
vector 'manifest payload' | tr -d '\n' >"$seeds/manifest/payload"
vector 'manifest message' | tr -d '\n' | tee "$seeds/manifest/message" >"$seeds/trust/manifest"
vector 'trust message' | tr -d '\n' >"$seeds/trust/trust"
printf '%s' '{"agency":"opp","version":1,"issued":"2026-11-24T06:00:00Z","rules":{"keeping":{"non_hit":"1d"},"lists":{"categories":["stolen_vehicle"],"every":{"matching":"look_alike"}}}}' >"$seeds/policy/one"
printf '%s\n' '{"ask":"text","with":"hello"}' >"$seeds/control/text"
printf '%s' '{"plate":"CKSV841","jurisdiction":"CA-ON","priority":"high","reason":"left the scene","case":"26-00417","by":"4411","role":"officer"}' >"$seeds/hotplate/one"
printf '%s' '>RPV15714+3739438-1220384601512612;ID=1234;*7F<' >"$seeds/taip/rpv"
printf '%s' '>RLN83830000+490256603-1220996704+000001240000+000000000813000700080019002300280003002500000000000012<' >"$seeds/taip/rln"
# Edits of a good log and a good bundle, which the targets make themselves: one of each kind, hashed anew or not.
for edit in {0..9}; do
  printf "\\x01\\x05\\x0$edit\\x09" >"$seeds/audit_export/anew-$edit"
  printf "\\x00\\x05\\x0$edit\\x09" >"$seeds/audit_export/as-it-is-$edit"
done
printf '\x40\x00\x00\x00\x00\x20' >"$seeds/evidence/copied"
printf '\x00\x00\x00\x00\x00\xff' >"$seeds/evidence/before"
printf '\xff\xff\x10\x00\x00\x00' >"$seeds/evidence/cut"
number=0
for mapping in hotlists/mappings/*.toml; do
  for sample in hotlists/samples/synthetic-*; do
    name=$(basename "$mapping" .toml)-$(basename "$sample")
    { printf "\\x$(printf %02x "$number")"; cat "$sample"; } >"$seeds/import/$name"
    { cat "$mapping"; printf '\0'; cat "$sample"; } >"$seeds/mapping/$name"
  done
  number=$((number + 1))
done
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(sed -n 's/^name = "\(.*\)"$/\1/p' fuzz/Cargo.toml | tail -n +2)
for target in "${targets[@]}"; do
  corpus=$work/corpus/$target
  mkdir -p "$corpus"
  say "$target: $seconds s"
  # 2 GiB and 10 s for one input: an importer that needs more is a finding.
  "$built/debug/$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
    -artifact_prefix="$work/$target-" "$corpus" "$seeds/$target" >"$work/$target.log" 2>&1 ||
    { tail -n 40 "$work/$target.log"; die "$target has found something: $work/$target-*"; }
  grep -E 'stat::(number_of_executed_units|new_units_added|peak_rss_mb)|^Done' "$work/$target.log" | sed 's/^/    /'
  grep -oE 'cov: [0-9]+ ft: [0-9]+ corp: [0-9]+' "$work/$target.log" | tail -n 1 | sed 's/^/    /'
done
