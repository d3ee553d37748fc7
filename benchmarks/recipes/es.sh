#!/usr/bin/env bash
# A biLM for Spanish from what there is: models/en goes on on the text of CoNLL-2002's own training sentences (265 k
# tokens of EFE news; the tags are not read). The row of the accuracy table is
#   benchmarks/accuracy.py … --corpora conll2002-es --bilm es=RUNS/es-bilm
#
#   benchmarks/recipes/es.sh CONLL2002 RUNS [FLAGS...]
set -euo pipefail
corpus=${1:?folder with esp.train}
runs=${2:?folder to write to}
awk '!NF { if (line != "") print line; line = ""; next } { line = line (line == "" ? "" : " ") $1 }
    END { if (line != "") print line }' "$corpus/esp.train" > "$runs/es.train.txt"
ner-elmo pretrain "$runs/es.train.txt" --init "$(dirname "$0")/../../models/en" --samples 2048 --epochs 3 \
    --checkpoint-minutes 5 --language es "${@:3}" -o "$runs/es-bilm" --resume
