#!/usr/bin/env bash
# How the shape of models/en is best trained: 10 million tokens with one setting changed, and a tagger over it.
#
#   benchmarks/recipes/settings.sh TEXT RUNS NER VECTORS NAME [FLAGS OF pretrain...]
#
# TEXT holds en.train.txt.xz, en.news.train.txt.xz and en.heldout.txt.xz, NER is the folder of CoNLL-2003; RUNS/NAME and
# RUNS/NAME.tagger are written. Everything else is as in shapes.sh, whose 512_128 it is to be held against.
set -euo pipefail
text=${1:?} runs=${2:?} ner=${3:?} vectors=${4:?} name=${5:?}
here=$(dirname "$0")
mkdir -p "$runs"
ner-elmo pretrain "$text/en.train.txt.xz" "$text/en.news.train.txt.xz" --heldout "$text/en.heldout.txt.xz" \
    --options "$here/en.options.json" --vocab "$here/../../models/en/bilm/vocab.txt" --samples 2048 --epochs 1 \
    --max-tokens 10000000 --threads 1 --checkpoint-minutes 8 --language en --seed 1 -o "$runs/$name" --resume "${@:6}"
ner-elmo train-tagger --train "$ner/eng.train" --dev "$ner/eng.testa" --test "$ner/eng.testb" --scheme iob1 \
    --bilm "$runs/$name" --word-vectors "$vectors" --context document-twice --threads 1 --seeds "${SEEDS:-1,2}" \
    -o "$runs/$name.tagger" --resume
