#!/usr/bin/env bash
# What adaptation to a domain brings: a biLM goes on on the training text of a labelled corpus, plainly, then with each
# option of ULMFiT added, and a new one is trained on the same text beside it; all over the same vocabulary, for the same
# number of tokens. Then the corpus's tagger with the biLM before and after. Everything goes on where it stopped when
# this is run again.
#
#   benchmarks/recipes/adapt.sh CORPUS PARENT RUNS [FLAGS...]
#
# CORPUS holds train.tsv, devel.tsv and test.tsv, such as those of NCBI-disease or BC5CDR (tokens in the first column,
# tags in the last), PARENT is a biLM that has its softmax (models/en), RUNS is where everything is written; FLAGS go to
# every pretraining (such as --max-tokens 6000 to try it). SEEDS (1,2,3) and EPOCHS (15) are those of the taggers,
# TAGGER_FLAGS (such as "--word-vectors en.vectors.txt") are further flags for each of them.
# On one CPU core a pretraining takes about a quarter of an hour, the taggers take longer.
set -euo pipefail
corpus=${1:?folder with train.tsv, devel.tsv and test.tsv}
parent=${2:?biLM to go on from}
runs=${3:?folder to write to}
flags=("${@:4}")
here=$(dirname "$0")
bilm=$parent
[ -d "$parent/bilm" ] && bilm=$parent/bilm
mkdir -p "$runs"

# The first column as text: a sentence a line.
for part in train devel; do
    awk '!NF { if (line != "") print line; line = ""; next } { line = line (line == "" ? "" : " ") $1 }
        END { if (line != "") print line }' "$corpus/$part.tsv" > "$runs/$part.txt"
done

pretrain() {
    local name=$1
    shift
    ner-elmo pretrain "$runs/train.txt" --heldout "$runs/devel.txt" --samples 2048 --max-tokens 1350000 --epochs 1000 \
        --checkpoint-minutes 5 "$@" ${flags[@]+"${flags[@]}"} -o "$runs/$name" --resume
}
pretrain plain --init "$parent"
pretrain slanted --init "$parent" --schedule slanted
pretrain decay --init "$parent" --schedule slanted --layer-decay 2.6
pretrain unfreeze --init "$parent" --schedule slanted --layer-decay 2.6 --unfreeze 0.3
pretrain scratch --options "$bilm/options.json" --vocab "$runs/plain/bilm/vocab.txt"

best=$(python "$here/../adaptation.py" "$runs" --best)
tagger() {
    local name=$1
    shift
    ner-elmo train-tagger --train "$corpus/train.tsv" --dev "$corpus/devel.tsv" --test "$corpus/test.tsv" \
        --seeds "${SEEDS:-1,2,3}" --epochs "${EPOCHS:-15}" --patience 5 \
        --schedule plateau --dropout 0.5 --elmo-dropout 0.5 --average 0 --learning-rate 0.001 --batch-sentences 32 --batch-tokens 2048 ${TAGGER_FLAGS:-} "$@" -o "$runs/$name" --resume
}
tagger tagger-before --bilm "$parent"
tagger tagger-after --bilm "$runs/$best"
tagger tagger-scratch --bilm "$runs/scratch"
python "$here/../adaptation.py" "$runs"
