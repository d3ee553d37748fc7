#!/usr/bin/env bash
# How models/en was made: every command, in order. Each step that takes long goes on where it stopped when this is run
# again. On two CPU cores: pretraining about three and a half hours, word vectors ten minutes, each of the six taggers ten.
#
#   benchmarks/recipes/en.sh LM NER RUNS
#
# LM holds en.train.txt.xz, en.extra.txt.xz, en.heldout.txt.xz, en.news.train.txt.xz and en.news.heldout.txt.xz (tokenised
# English, one sentence a line), NER the folder
# conll2003 with eng.train, eng.testa, eng.testb; RUNS is where everything is written.
set -euo pipefail
lm=${1:?folder with en.train.txt.xz, en.extra.txt.xz and en.heldout.txt.xz}
ner=${2:?folder with conll2003/eng.train, eng.testa, eng.testb}
runs=${3:?folder to write to}
here=$(dirname "$0")
text="for research use: the pretraining text includes BBC News, Reuters-21578 and Reuters 50-50 (research use), articles of \
many news outlets and the Daily Mail (their copyright; research only), the Brown corpus (non-commercial), ABC news \
(copyright ABC), Groningen Meaning Bank, Wikipedia (CC BY-SA 3.0) and US presidential addresses (public domain)"
terms="$text; the labelled text is CoNLL-2003 (annotations University of Antwerp, text Reuters, research use)"
# A GPU makes in minutes what follows the first hours: seconds of steps, by time, not by tokens (one H200).
on_gpu="--device cuda --threads 1 --text tokenized --batch-tokens 16384 --samples 8192 --epochs 100 --max-tokens 1000000000 \
    --vocab $runs/en.words.txt --language en"

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
# … then 45.4 million tokens on a GPU, and 56.5 million of news from there …
[ -d "$runs/en-bilm-all/bilm" ] || SECONDS_OF_STEPS=215 python "$here/timed_pretraining.py" pretrain "$lm/en.train.txt.xz" \
    --heldout "$lm/en.heldout.txt.xz" --init "$runs/en-bilm" $on_gpu --learning-rate 0.002 --seed 11 --licence "$text" \
    -o "$runs/en-bilm-all"
[ -d "$runs/en-bilm-news/bilm" ] || SECONDS_OF_STEPS=240 python "$here/timed_pretraining.py" pretrain \
    "$lm/en.news.train.txt.xz" --heldout "$lm/en.news.heldout.txt.xz" --init "$runs/en-bilm-all" $on_gpu \
    --learning-rate 0.0015 --seed 12 --licence "$text" -o "$runs/en-bilm-news"
# … which forgets of other text: perplexity on en.heldout 88.4 before, 155 after. A little of it keeps that below 90.
[ -d "$runs/en-bilm-mean/bilm" ] || python "$here/average_bilms.py" "$runs/en-bilm-all" "$runs/en-bilm-news" 0.15 \
    --heldout "$lm/en.heldout.txt.xz" -o "$runs/en-bilm-mean/bilm"

# Static vectors of the same text, with gensim (pip install gensim).
[ -f "$runs/en.vectors.txt" ] || python "$here/../../data/train_word_vectors.py" "$lm/en.train.txt.xz" \
    "$lm/en.news.train.txt.xz" --words 60000 --epochs 5 --threads 4 -o "$runs/en.vectors.txt"

# The tagger. Seeds 1 and 2 with a context dropout of 0.3 and seed 2 with 0.5 were compared, by dev of CoNLL-2003 and of three
# corpora of other kinds, after test had been seen (docs/accuracy.md); the last ships.
ner-elmo train-tagger --train "$ner/conll2003/eng.train" --dev "$ner/conll2003/eng.testa" --test "$ner/conll2003/eng.testb" \
    --scheme iob1 --bilm "$runs/en-bilm-mean" --word-vectors "$runs/en.vectors.txt" --context document --context-forms exact \
    --context-dropout 0.5 --seeds 2 --epochs 18 --patience 6 --average 2 --batch-sentences 64 --batch-tokens 4096 \
    --schedule plateau --dropout 0.5 --elmo-dropout 0.5 --learning-rate 0.002 --storage float16 --keep-softmax --licence "$terms" -o "$runs/en-tagger" --resume

# It was trained before there was a second pass over documents, for which nothing is learned.
[ -d "$runs/en-tagger-twice" ] || python "$here/second_pass.py" "$runs/en-tagger" --dev "$ner/conll2003/eng.testa" \
    --test "$ner/conll2003/eng.testb" --scheme iob1 -o "$runs/en-tagger-twice"

python -c "
import sys
from pathlib import Path
from ner_elmo.tagger.store import copy_tagger
copy_tagger(Path(sys.argv[1]), Path(sys.argv[2]))
" "$runs/en-tagger-twice" "$here/../../models/en"
