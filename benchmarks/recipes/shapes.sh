#!/usr/bin/env bash
# Which shape of biLM learns most: each is trained on the same 10 million tokens of models/en's text, over its words.
#
#   benchmarks/recipes/shapes.sh TEXT RUNS [SHAPES...]
#
# With the folder of CoNLL-2003 in NER and word vectors in VECTORS, a tagger over each is trained as well, with two seeds.
# TEXT holds en.train.txt.xz, en.news.train.txt.xz and en.heldout.txt.xz; RUNS is where everything is written. It goes on
# where it stopped when this is run again. A shape is the LSTM's cells and its projection: 512_128, 1024_128, 512_256.
# FLAGS in the environment are given to pretrain, such as --compile.
set -euo pipefail
text=${1:?folder with en.train.txt.xz, en.news.train.txt.xz and en.heldout.txt.xz}
runs=${2:?folder to write to}
here=$(dirname "$0")
[ $# -gt 2 ] && shapes=("${@:3}") || shapes=(512_128 1024_128 512_256)

mkdir -p "$runs"
for shape in "${shapes[@]}"; do
    python -c "
import json, sys
options = json.load(open(sys.argv[1]))
options['lstm']['dim'], options['lstm']['projection_dim'] = map(int, sys.argv[2].split('_'))
json.dump(options, sys.stdout, indent=1)
" "$here/en.options.json" "$shape" > "$runs/$shape.json"
    ner-elmo pretrain "$text/en.train.txt.xz" "$text/en.news.train.txt.xz" --heldout "$text/en.heldout.txt.xz" \
        --options "$runs/$shape.json" --vocab "$here/../../models/en/bilm/vocab.txt" --samples 2048 --epochs 1 \
        --max-tokens 10000000 --threads 1 --checkpoint-minutes 8 --language en --seed 1 -o "$runs/$shape" --resume ${FLAGS:-}
    [ -n "${NER:-}" ] || continue
    ner-elmo train-tagger --train "$NER/eng.train" --dev "$NER/eng.testa" --test "$NER/eng.testb" --scheme iob1 \
        --bilm "$runs/$shape" --word-vectors "$VECTORS" --context document-twice --threads 1 --seeds 1,2 \
        -o "$runs/$shape.tagger" --resume
done
