#!/usr/bin/env bash
# How models/zh was made: every command, in order. Each step that takes long goes on where it stopped when this is run
# again. Pretraining takes about 40 minutes of one CPU core, the taggers a quarter of an hour.
#
#   benchmarks/recipes/zh.sh LM RESUME RUNS
#
# LM holds zh.train.txt.xz and zh.heldout.txt.xz (Chinese, a blank between every two characters, one sentence a line),
# RESUME the files train.char.bmes, dev.char.bmes, test.char.bmes; RUNS is where everything is written.
set -euo pipefail
lm=${1:?folder with zh.train.txt.xz and zh.heldout.txt.xz}
resume=${2:?folder with train.char.bmes, dev.char.bmes, test.char.bmes}
runs=${3:?folder to write to}
here=$(dirname "$0")
text_terms="for research use: the text is CCTV news transcripts of 2022-2026 (copyright CCTV, for study and research \
only), CMRC 2018 contexts (Chinese Wikipedia, CC BY-SA 4.0) and Chinese Wikipedia (CC BY-SA)"
terms="for research use: the labelled text is Resume NER (résumés from Sina Finance, no licence stated); the \
pretraining text is CCTV news transcripts (copyright CCTV, for study and research only), CMRC 2018 contexts and Chinese \
Wikipedia (CC BY-SA)"

# Words are characters: 5,460 of them, in a table that is the softmax, too.
ner-elmo pretrain "$lm/zh.train.txt.xz" --heldout "$lm/zh.heldout.txt.xz" --options "$here/zh.options.json" \
    --tie-embeddings --min-count 3 --softmax sampled --samples 1024 --max-tokens 7400000 --checkpoint-minutes 5 \
    --language zh --licence "$text_terms" --threads 1 -o "$runs/zh-bilm" --resume
ner-elmo convert "$runs/zh-bilm" "$runs/zh-bilm-float16" --to float16 --force

# The same tagger with and without the biLM.
tagger=(--train "$resume/train.char.bmes" --dev "$resume/dev.char.bmes" --test "$resume/test.char.bmes"
    --seeds "${SEEDS:-1,2,3}" --storage float16 --epochs 20 --patience 5 --licence "$terms" --resume)
ner-elmo train-tagger "${tagger[@]}" --bilm "$runs/zh-bilm-float16" --keep-softmax -o "$runs/zh-tagger"
ner-elmo train-tagger "${tagger[@]}" -o "$runs/zh-tagger-without-bilm"

python -c "
import sys
from pathlib import Path
from ner_elmo.tagger.store import copy_tagger
copy_tagger(Path(sys.argv[1]), Path(sys.argv[2]))
" "$runs/zh-tagger" "$here/../../models/zh"
