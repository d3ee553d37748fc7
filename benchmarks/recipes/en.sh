#!/usr/bin/env bash
# How models/en was made: every command, in order. Each step that takes long goes on where it stopped when this is run
# again. On two CPU cores: pretraining about an hour, word vectors five minutes, each tagger about a quarter of an hour.
#
#   benchmarks/recipes/en.sh LM CONLL RUNS
#
# LM holds en.train.txt.xz and en.heldout.txt.xz (tokenised English, one sentence a line), CONLL the CoNLL-2003 files
# eng.train, eng.testa, eng.testb; RUNS is where everything is written.
set -euo pipefail
lm=${1:?folder with en.train.txt.xz and en.heldout.txt.xz}
conll=${2:?folder with eng.train, eng.testa, eng.testb}
runs=${3:?folder to write to}
here=$(dirname "$0")
terms="for research use: the pretraining text includes BBC News and Reuters-21578 (research use), the Brown corpus \
(non-commercial), ABC news (copyright ABC), Wikipedia (CC BY-SA 3.0) and US presidential addresses (public domain); \
the labelled text is CoNLL-2003 (annotations University of Antwerp, text Reuters, research use)"

ner-elmo pretrain "$lm/en.train.txt.xz" --heldout "$lm/en.heldout.txt.xz" --options "$here/en.options.json" \
    --vocab-size 50000 --samples 2048 --epochs 1 --max-tokens 10000000 --checkpoint-steps 250 --language en \
    --licence "$terms" -o "$runs/en-bilm" --resume
ner-elmo convert "$runs/en-bilm" "$runs/en-bilm-float16" --to float16 --force

# Static vectors on the same text, with gensim (pip install gensim).
[ -f "$runs/en.vectors.txt" ] || python "$here/../../data/train_word_vectors.py" "$lm/en.train.txt.xz" -o "$runs/en.vectors.txt"

# The same tagger with and without the biLM.
tagger=(--train "$conll/eng.train" --dev "$conll/eng.testa" --test "$conll/eng.testb" --seeds 1 --storage float16
    --word-vectors "$runs/en.vectors.txt" --epochs 15 --patience 5 --licence "$terms" --resume)
ner-elmo train-tagger "${tagger[@]}" --bilm "$runs/en-bilm-float16" --keep-softmax -o "$runs/en-tagger"
ner-elmo train-tagger "${tagger[@]}" -o "$runs/en-tagger-without-bilm"

python -c "
import sys
from pathlib import Path
from ner_elmo.tagger.store import copy_tagger
copy_tagger(Path(sys.argv[1]), Path(sys.argv[2]))
" "$runs/en-tagger" "$here/../../models/en"
