#!/usr/bin/env bash
# How models/zh was made: every command, in order. The biLM takes eight minutes of a GPU (one H200), all else CPU cores.
#
#   benchmarks/recipes/zh.sh LM NER RUNS
#
# LM holds zh.train.txt.xz, zh2.train.txt.xz and zh2.heldout.txt.xz (Chinese, a blank between every two characters, one
# sentence a line), NER the folders msra and cluener with train.char.bio and dev.char.bio; RUNS is where everything is
# written.
set -euo pipefail
lm=${1:?folder with zh.train.txt.xz, zh2.train.txt.xz and zh2.heldout.txt.xz}
ner=${2:?folder with msra/ and cluener/}
runs=${3:?folder to write to}
here=$(dirname "$0")
text="for research use: the pretraining text includes CCTV news transcripts, Chinese Wikipedia (CC BY-SA), and news, \
comment, books and posts under their publishers' copyright (research only)"
terms="for research use: the labelled text is MSRA (SIGHAN 2006; research use) and CLUENER (no licence stated; research \
use), its labels mapped to PER, LOC and ORG; ${text#for research use: }"
on_gpu="--device cuda --threads 1 --text tokenized --batch-tokens 16384 --softmax exact --min-count 5 --epochs 100 \
    --max-tokens 1000000000 --learning-rate 0.002 --language zh"

# Words are characters: 7,901 of them, in a table that is the softmax, too. 62.8 million characters, then 74.4 million in
# another order.
[ -d "$runs/zh-bilm-first/bilm" ] || SECONDS_OF_STEPS=210 python "$here/timed_pretraining.py" pretrain \
    "$lm/zh2.train.txt.xz" "$lm/zh.train.txt.xz" --heldout "$lm/zh2.heldout.txt.xz" --options "$here/zh.options.json" \
    --tie-embeddings $on_gpu --seed 21 --licence "$text" -o "$runs/zh-bilm-first"
[ -d "$runs/zh-bilm/bilm" ] || SECONDS_OF_STEPS=230 python "$here/timed_pretraining.py" pretrain \
    "$lm/zh2.train.txt.xz" "$lm/zh.train.txt.xz" --heldout "$lm/zh2.heldout.txt.xz" --init "$runs/zh-bilm-first" \
    $on_gpu --seed 22 --licence "$text" -o "$runs/zh-bilm"
ner-elmo convert "$runs/zh-bilm" "$runs/zh-bilm-float16/zh" --to float16 --force

# Static vectors of characters on the same text, with gensim (pip install gensim).
[ -f "$runs/zh.vectors.txt" ] || python "$here/../../data/train_word_vectors.py" "$lm/zh2.train.txt.xz" \
    "$lm/zh.train.txt.xz" --words 60000 --epochs 3 --threads 2 -o "$runs/zh.vectors.txt"

# Names of people, places and organisations, in newspapers of 1998 (MSRA) and in texts of many kinds (CLUENER).
for part in train dev; do
    { cat "$ner/msra/$part.char.bio"; python "$here/names_of_cluener.py" "$ner/cluener/$part.char.bio"; } > "$runs/zh.$part"
done
ner-elmo train-tagger --train "$runs/zh.train" --dev "$runs/zh.dev" --scheme iob2 --bilm "$runs/zh-bilm-float16/zh" \
    --word-vectors "$runs/zh.vectors.txt" --text characters --epochs 7 --patience 6 --average 1 --batch-sentences 64 \
    --batch-tokens 4096 --schedule plateau --dropout 0.5 --elmo-dropout 0.5 --learning-rate 0.0015 --storage float16 --keep-softmax --licence "$terms" -o "$runs/zh-tagger" --resume

python -c "
import sys
from pathlib import Path
from ner_elmo.tagger.store import copy_tagger
copy_tagger(Path(sys.argv[1]), Path(sys.argv[2]))
" "$runs/zh-tagger" "$here/../../models/zh"
