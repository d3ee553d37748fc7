#!/usr/bin/env bash
# How models/en was made: every command, in order. Each step that takes long goes on where it stopped when this is run
# again. On two CPU cores: pretraining about three and a half hours, word vectors ten minutes, each of the six taggers ten.
#
#   benchmarks/recipes/en.sh LM NER RUNS
#
# LM holds en.train.txt.xz, en.extra.txt.xz and en.heldout.txt.xz (tokenised English, one sentence a line), NER the folder
# conll2003 with eng.train, eng.testa, eng.testb; RUNS is where everything is written.
set -euo pipefail
lm=${1:?folder with en.train.txt.xz, en.extra.txt.xz and en.heldout.txt.xz}
ner=${2:?folder with conll2003/eng.train, eng.testa, eng.testb}
runs=${3:?folder to write to}
here=$(dirname "$0")
text="for research use: the pretraining text includes BBC News and Reuters-21578 (research use), the Brown corpus \
(non-commercial), ABC news (copyright ABC), Wikipedia (CC BY-SA 3.0) and US presidential addresses (public domain)"
terms="$text; the labelled text is CoNLL-2003 (annotations University of Antwerp, text Reuters, research use)"

# The biLM, first over 50,000 words …
ner-elmo pretrain "$lm/en.train.txt.xz" --heldout "$lm/en.heldout.txt.xz" --options "$here/en.options.json" \
    --vocab-size 50000 --samples 2048 --epochs 1 --max-tokens 10000000 --checkpoint-steps 250 --language en \
    --licence "$text" -o "$runs/en-bilm-first" --resume
# … then over those seen ten times in en.train, on more text.
[ -f "$runs/en.words.txt" ] || python -c "
import sys
from collections import Counter
from ner_elmo.text.files import read_lines
counts = Counter(word for line in read_lines(sys.argv[1]) for word in line.split())
print('<S>', '</S>', '<UNK>', *(word for word, count in counts.most_common() if count >= 10), sep='\n')
" "$lm/en.train.txt.xz" > "$runs/en.words.txt"
ner-elmo pretrain "$lm/en.train.txt.xz" "$lm/en.extra.txt.xz" --heldout "$lm/en.heldout.txt.xz" \
    --init "$runs/en-bilm-first" --vocab "$runs/en.words.txt" --samples 2048 --epochs 1 --max-tokens 6200000 \
    --checkpoint-minutes 8 --language en --licence "$text" -o "$runs/en-bilm-second" --resume
# … then on as many tokens as an hour of one core allows with products in bfloat16 (the first two were float32).
ner-elmo pretrain "$lm/en.train.txt.xz" "$lm/en.extra.txt.xz" --heldout "$lm/en.heldout.txt.xz" \
    --init "$runs/en-bilm-second" --vocab "$runs/en.words.txt" --samples 2048 --epochs 1 --max-tokens 22000000 --seed 5 \
    --checkpoint-minutes 8 --language en --licence "$text" -o "$runs/en-bilm-third" --resume
# … and once more, in another order.
ner-elmo pretrain "$lm/en.train.txt.xz" "$lm/en.extra.txt.xz" --heldout "$lm/en.heldout.txt.xz" \
    --init "$runs/en-bilm-third" --vocab "$runs/en.words.txt" --samples 2048 --epochs 1 --max-tokens 23000000 --seed 6 \
    --checkpoint-minutes 8 --language en --licence "$text" -o "$runs/en-bilm" --resume
ner-elmo convert "$runs/en-bilm" "$runs/en-bilm-float16/en" --to float16 --force

# Static vectors on the same text, with gensim (pip install gensim).
[ -f "$runs/en.vectors.txt" ] || python "$here/../../data/train_word_vectors.py" "$lm/en.train.txt.xz" \
    "$lm/en.extra.txt.xz" --words 60000 -o "$runs/en.vectors.txt"

# The tagger with and without the biLM, three seeds each: a line of the accuracy table.
python "$here/../accuracy.py" --data "$ner" --bilm "en=$runs/en-bilm-float16/en" \
    --word-vectors "en=$runs/en.vectors.txt" --corpora conll2003 -o "$runs" \
    --flags "--storage float16 --keep-softmax --licence '$terms'"

python -c "
import sys
from pathlib import Path
from ner_elmo.tagger.store import copy_tagger
copy_tagger(Path(sys.argv[1]), Path(sys.argv[2]))
" "$runs/conll2003.with-bilm" "$here/../../models/en"
