#!/usr/bin/env bash
# Writes docs/evaluation/accuracy.md: our models and the field's on ../shared/data/evaluation, all
# through `outrider eval` in one session on one machine; and, of our default models, the selective
# curve and how often reads are right by what they say (selective, reliability: .svg, .csv), and what was
# read beside labels (reads-beside-labels.txt; its pictures stay in target/beside); docs/evaluation/sources.md, by source: what was
# chosen on, and, where HELD_OUT holds the readers that `make held-out` in models/training makes, each source read by a reader that
# never saw it (without them that table is left as it is, and it says so); docs/evaluation/jurisdictions.md, whose plates are said to be
# whose (the table of misreads in it is made by `make -C models/training jurisdictions`); and the tables in README.md.
# Usage: docs/evaluation/generate.sh [outrider [sources|whose]]: sources leaves accuracy.md as it is, whose writes jurisdictions.md alone.
set -euo pipefail
cd "$(dirname "$0")/../.."
outrider=${1:-target/release/outrider}
data=../shared/data/evaluation
peers=../shared/peers
lib=${ORT_DYLIB_PATH:-build/onnxruntime/$(uname -m)/libonnxruntime.so}
out=docs/evaluation/accuracy.md

run() {
  "$outrider" eval "$data" --onnxruntime "$lib" --set-aside docs/evaluation/known-label-errors.txt \
    --looked-at docs/evaluation/looked-at.txt --markdown "$@" 2>/dev/null
}
yolo=(--detector "$peers/fastanpr_640.onnx")
cct=(--ocr "$peers/cct_xs_v1_global.onnx")
# One row of the readers' table: name, margin, options.
alone() {
  printf '| %s | %s ' "$1" "$2"
  run --labelled-boxes --crop-margin "$2" "${@:3}" |
    awk -F' *[|] *' '/^\| (e2e|seg)/ { read[$2] = $5 } END { print "| " read["e2e_us"] " | " read["e2e_eu"] " | " read["e2e_br"] " | " read["seg_us"] " |" }'
}
# By source: what was chosen on, and what was never seen.
pack2=../shared/data/pack2
held=${HELD_OUT:-models/training/work/held-out}
made=target/by-source
mkdir -p "$made"
# With REUSE set, what was read in an earlier run of this script is not read again.
cases() {
  [ -n "${REUSE:-}" ] && [ -s "$made/$2" ] || "$outrider" eval "$1" --onnxruntime "$lib" --cases "$made/$2" "${@:3}" >/dev/null 2>&1
}
open=("${yolo[@]}" "${cct[@]}" --crop-margin 0.1 --no-second-look)
mixed=("${cct[@]}" --crop-margin 0.1 --no-second-look)
# Reads of 0.9 and more beside every label in a folder's frames, per 100 frames.
beside() {
  "$outrider" eval "$1" --onnxruntime "$lib" --false-read-confidence 0.9 --json "${@:2}" 2>/dev/null |
    python3 -c 'import json, sys
r = json.load(sys.stdin)
false, frames = r["false_reads"], r["n_frames"]
print(f"{false} in {frames} frames, {100 * false / frames:.1f} per 100 |", r["refused"], "of", r["n_text"])'
}
# The detector for sources that are held out: the released one where it was trained without all of them, else START's, which has
# seen nothing of pack2.
detector_without() {
  local one left_out
  left_out=$(sed -n 's/^held_out = "\(.*\)"/,\1,/p' models/plate-detector-small/model.toml | tr -d ' ')
  for one in "$@"; do
    case "$left_out" in *",$one,"*) ;; *) echo "$held/start/plate-detector-small" && return ;; esac
  done
  echo models/plate-detector-small
}
by_source() {
  cases "$pack2/train" open-train.jsonl "${open[@]}"
  cases "$pack2/dev" open-dev.jsonl "${open[@]}"
  cases "$pack2/dev" small-dev.jsonl
  cases "$pack2/dev" large-dev.jsonl --ocr plate-ocr-large
  cases "$pack2/dev" mixed-dev.jsonl "${mixed[@]}"
  {
    echo "## Pictures that were chosen on"
    echo
    echo "The \`dev\` half of pack2 (\`../shared/data/pack2\`): never trained on, but checkpoints, the temperature and int8 were chosen on it and on the"
    echo "pack's \`val\`. Its sources are those of the training half, so it flatters ours."
    echo
    python3 docs/evaluation/by_source.py --labels "$pack2/dev" "ours=$made/small-dev.jsonl" "ours, large reader=$made/large-dev.jsonl" \
      "open pair=$made/open-dev.jsonl" "our detector, cct-xs=$made/mixed-dev.jsonl"
    echo
    echo "| read by | reads of 0.9 and more beside every label | right place, refused as no plate's |"
    echo "|---|---|---|"
    printf '| ours | %s |\n' "$(beside "$pack2/dev")"
    printf '| ours, large reader | %s |\n' "$(beside "$pack2/dev" --ocr plate-ocr-large)"
    printf '| open pair | %s |\n' "$(beside "$pack2/dev" "${open[@]}")"
    echo
    echo "Beside every label are plates that nobody labelled, too: the figure is an upper bound."
  } >target/chosen.part
  if [ -d "$held/start/plate-detector-small" ]; then
    start=(--models "$held/start")
    cases "$pack2/train" start.jsonl "${start[@]}"
    {
      echo "## Sources that the reader never saw"
      echo
      echo "Each source of pack2's training half, read by a reader that was trained and chosen without that source. *Ours* is a short training from reader 0.5.0, which had"
      echo "seen nothing of pack2, by 0.9.0's recipe: for oi2 1,243 and 1,942 steps (half of the end, half of the second's step 853), for caltech and misc 1,119 and 1,849 (half of the end, half of the second's step 720), where the released reader had 1,544 and 3,908;"
      echo "its temperature is fitted without the source as well, and its crop margin is the released one's, which was chosen"
      echo "on the other half. Where Open Images is held out, the first pack's Open Images are left out of that training too, though 0.5.0 had seen them (other pictures). The detector"
      echo "of caltech and misc is the released one, which was trained and chosen without them (but 0.3.0 and 0.4.0 share Open Images' other pictures); that of oi2 is 0.3.0, which had seen nothing of pack2,"
      echo "since the released one was trained on oi2. *Reader 0.5.0* reads with 0.3.0 throughout. Typefaces were drawn after plates of this half, California's and Virginia's above all: of them these rows say what drawing and"
      echo "reading other sources do, not what an unknown die does. The two factors of decision 0093 and the score of 0092 were chosen on these frames, too. Crop margins had been looked at on held-out Open Images crops before the margin was chosen."
      together=() read='' crossed=''
      for folder in "$held"/*/models; do
        name=$(basename "$(dirname "$folder")")
        sources=(${name//-/ })
        only=() some=()
        for one in "${sources[@]}"; do
          grep -q "\"file\": \"$one/" "$pack2/train/labels.jsonl" || continue
          only+=(--only "$one") some+=(--source "$one")
        done
        detector=$(detector_without "${sources[@]}")
        cases "$pack2/train" "held-$name.jsonl" --detector "$detector" --ocr "$folder/plate-ocr-small" "${some[@]}"
        cases "$pack2/train" "mixed-$name.jsonl" --detector "$detector" "${mixed[@]}" "${some[@]}"
        together+=("${only[@]}") read="$read,$made/held-$name.jsonl" crossed="$crossed,$made/mixed-$name.jsonl"
        echo
        echo "Held out: ${sources[*]}."
        echo
        python3 docs/evaluation/by_source.py --labels "$pack2/train" "${only[@]}" "ours, without it=$made/held-$name.jsonl" \
          "reader 0.5.0=$made/start.jsonl" "open pair=$made/open-train.jsonl" "our detector, cct-xs=$made/mixed-$name.jsonl"
      done
      echo
      echo "All of them together, each read by the reader that was trained without it."
      echo
      python3 docs/evaluation/by_source.py --labels "$pack2/train" "${together[@]}" "ours, without it=${read#,}" \
        "reader 0.5.0=$made/start.jsonl" "open pair=$made/open-train.jsonl" "our detector, cct-xs=${crossed#,}" |
        grep -E "^[|] (plates|---|ordinary|all)|^[|]---"
    } >docs/evaluation/held-out.part
  else
    echo "generate.sh: no readers in $held (make -C models/training held-out): the table of sources never seen is left as it was" >&2
  fi
  {
    echo "# By source"
    echo
    echo "Generated by \`docs/evaluation/generate.sh\`; no figure is typed by hand. Frames to text, detector included; a plate that is not found counts as read"
    echo "wrong. \`n\` are plates with texts; ordinary serials are no personalised, old, temporary, stacked, motorcycle, two-line, cut or scanned plate. 95 % intervals by Wilson's"
    echo "score. Labels were transcribed once, by eye: one or two in a hundred are expected to be wrong. Nothing that a held-out row reports chose the reader it reports."
    echo
    cat docs/evaluation/held-out.part
    echo
    cat target/chosen.part
  } >docs/evaluation/sources.md
}
# Whose plates: the crops whose names carry the state, which trained and chose nothing, and pack2's dev, on which the threshold was chosen.
whose() {
  local head=models/plate-jurisdiction-small folder=target/whose
  python3 docs/evaluation/whose.py labels "$data" "$folder"
  python3 docs/evaluation/whose.py loose "$head" "$folder/loose"
  threshold=$(sed -n 's/^threshold = //p' "$head/model.toml")
  asked=(--jurisdiction "$folder/loose" --set-aside docs/evaluation/known-label-errors.txt)
  cases "$folder" whose-small.jsonl "${asked[@]}"
  cases "$folder" whose-large.jsonl "${asked[@]}" --ocr plate-ocr-large
  cases "$pack2/dev" whose-dev.jsonl "${asked[@]}"
  cases "$pack2/dev" whose-dev-large.jsonl "${asked[@]}" --ocr plate-ocr-large
  {
    echo "# By jurisdiction"
    echo
    echo "## Whose plate it is"
    echo
    echo "Generated by \`docs/evaluation/generate.sh\`; no figure is typed by hand. Single pictures, no vote. *seg_us* are the crops whose file names carry the state: nothing was trained or"
    echo "chosen on them, but they said that the threshold had been chosen on too little ([0105](../decisions/0105-whose-plate-it-is.md)). *dev* is pack2's half that the temperature, the weight of formats and the threshold were chosen on, detector included: a plate that is not found is not said. Package"
    echo "\`$(sed -n 's/^name = "\(.*\)"/\1/p;s/^version = "\(.*\)"/\1/p' "$head/model.toml" | paste -sd' ')\`, $(stat -c %s "$head/model.onnx" | awk '{ printf "%.2f", $1 / 1e6 }') MB; $("$outrider" eval "$folder" --onnxruntime "$lib" --models models --jurisdiction "$head" --json 2>/dev/null |
      python3 -c 'import json, sys; print("%.2f" % json.load(sys.stdin)["jurisdiction"]["cpu_ms"])') ms of CPU a plate in this session, cutting it in colour included, binary \`$(basename "$(dirname "$outrider")")\` (a debug build cuts ten times as slowly; the network alone: its \`model.toml\`). 95 % intervals by Wilson's score."
    echo
    python3 docs/evaluation/whose.py table "$threshold" "seg_us, small=$made/whose-small.jsonl" "seg_us, large=$made/whose-large.jsonl" \
      "dev, small=$made/whose-dev.jsonl" "dev, large=$made/whose-dev-large.jsonl"
    echo
    cat docs/evaluation/misreads-by-jurisdiction.part
  } >docs/evaluation/jurisdictions.md
}
if [ "${2:-all}" = whose ]; then
  whose
  exit
fi
by_source &
beside_it=$!

if [ "${2:-all}" = all ]; then
{
  echo "# Accuracy"
  echo
  echo "Generated by \`docs/evaluation/generate.sh\`; no figure is typed by hand. Single frames, no vote."
  echo "Development half of the evaluation pictures: readers up to 0.5.0, the margin and thresholds were chosen on it, and"
  echo "failures looked at, so it flatters us; it is one slice among several ([by source](sources.md)). One plate is labelled per frame: many reads beside labels are real"
  echo "plates; *no plates* are those that turned out to be something else, or that nobody has looked at"
  echo "([places](looked-at.txt)). Known label errors are set aside ([list](known-label-errors.txt)). CPU: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1),"
  echo "one thread, decoding apart; load $(cut -d' ' -f1 /proc/loadavg) on $(nproc) cores while it ran; binary \`$(basename "$(dirname "$outrider")")\`."
  echo "The YOLO runs at its usual score 0.25 and NMS 0.5, its input letterboxed at 640; cct-xs is given crops"
  echo "widened by 10 %, its best margin on US plates."
  echo
  echo "## Default models"
  echo
  run --slices --beside target/beside --curve docs/evaluation/selective.svg --curve docs/evaluation/selective.csv \
    --reliability docs/evaluation/reliability.svg --reliability docs/evaluation/reliability.csv
  echo
  echo "![Selective curve](selective.svg)"
  echo
  echo "![How often reads are right by what they say](reliability.svg)"
  echo
  echo "What was read beside labels, one by one: [reads-beside-labels.txt](reads-beside-labels.txt)."
  echo
  echo "## Large reader"
  echo
  run --ocr plate-ocr-large
  echo
  echo "## Default models, no second look"
  echo
  run --no-second-look
  echo
  echo "## YOLOv8n (fastanpr) at 640, fast-plate-ocr cct-xs with its best margin, 10 %"
  echo
  run "${yolo[@]}" "${cct[@]}" --crop-margin 0.1 --no-second-look
  echo
  echo "## Our detector, fast-plate-ocr cct-xs with a margin of 10 %"
  echo
  run "${cct[@]}" --crop-margin 0.1 --no-second-look
  echo
  echo "## YOLOv8n (fastanpr) at 640, our OCR"
  echo
  run "${yolo[@]}"
  echo
  echo "## The readers alone"
  echo
  echo "At the labelled boxes and on the labelled crops, by crop margin; % with O/Q=0 and I=1. Boxes are widened, crops cannot be."
  echo
  echo "| reader | margin | e2e_us | e2e_eu | e2e_br | seg_us |"
  echo "|---|---|---|---|---|---|"
  for margin in 0 0.03 0.06 0.09 0.12 0.15; do alone "ours" "$margin"; done
  for margin in 0.06 0.1 0.12 0.15 0.2; do alone "cct-xs" "$margin" "${cct[@]}" --no-second-look; done
} >"$out.new"
mv "$out.new" "$out"
{
  echo "# Written by docs/evaluation/generate.sh; what is there is from looked-at.txt."
  cat target/beside/reads.txt
} >docs/evaluation/reads-beside-labels.txt
fi

wait "$beside_it"
whose

# The README's tables: the default models by source, each pair pooled over the frames that have texts, and sources never seen.
frames() { run --source e2e_us --source e2e_eu --source e2e_br "$@" | sed -n "s/^| all |/| $name |/p" | cut -d'|' -f1-5,8-; }
{
  sed -n '/^## Default models$/,/^|.*all/p' "$out" | sed 1,2d
  echo
  sed -n '/^plate-detector-small/{p;q}' "$out" | cut -d';' -f1-3 | sed 's/$/. 95 % intervals by Wilson'"'"'s score./'
  echo
  echo "Pooled over the frames of the three e2e sources, in the same session; YOLOv8n at 640 with fast-plate-ocr's cct-xs is the best open"
  echo "pair at hand, their ONNX files unmodified in the same program:"
  echo
  echo "| | detected % | exact % | O/Q=0, I=1 % | accepted % at 99.5 % right | CPU ms |"
  echo "|---|---|---|---|---|---|"
  name=ours frames
  name="ours, large reader" frames --ocr plate-ocr-large
  name="open pair" frames "${open[@]}"
  echo
  echo "The three sources of the second pack's training half, each read by a reader that was trained and chosen without it ([by source](docs/evaluation/sources.md)):"
  echo
  echo "| plates | read by | n | O/Q=0, I=1 % | accepted % at 99.5 % right | right of those that say 0.9 |"
  echo "|---|---|---|---|---|---|"
  awk -F' *[|] *' '/^All of them together/ { last = 1 }
    last && /^[|] (ordinary|all)/ { print "| " $2 " | " $3 " | " $4 " | " $5 " | " $7 " | " $8 " |" }' docs/evaluation/held-out.part
} >target/readme.part
awk -v part=target/readme.part '
  /<!-- measured -->/ { print; while ((getline line < part) > 0) print line; skip = 1 }
  /<!-- \/measured -->/ { skip = 0 }
  !skip { print }' README.md >README.md.new
mv README.md.new README.md

