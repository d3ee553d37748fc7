#!/usr/bin/env bash
# Penn Treebank language modelling: words, running text in its order, exact softmax. The text is Mikolov's (10,000 words
# with <unk> and the end of the sentence); it is for research use and may not be passed on.
#
#   benchmarks/recipes/ptb.sh PTB RUNS
#
# PTB holds ptb.train.txt.xz, ptb.valid.txt.xz, ptb.test.txt.xz; RUNS is where everything is written. It goes on where it
# stopped when this is run again. The best model on ptb.valid is the one that is measured.
set -euo pipefail
ptb=${1:?folder with ptb.train.txt.xz, ptb.valid.txt.xz and ptb.test.txt.xz}
runs=${2:?folder to write to}
here=$(dirname "$0")

ner-elmo pretrain "$ptb/ptb.train.txt.xz" --heldout "$ptb/ptb.valid.txt.xz" --options "$here/ptb.options.json" \
    --min-count 1 --carry-state --order text --rows 20 --unroll-steps 35 --softmax exact --optimizer adam \
    --learning-rate 0.002 --epochs 25 --checkpoint-steps 500 --language en \
    --licence "for research use: Wall Street Journal text of the Penn Treebank" -o "$runs/ptb-bilm" --resume

# The forward test perplexity is the figure that is published for language models.
ner-elmo perplexity "$ptb/ptb.test.txt.xz" --bilm "$runs/ptb-bilm" --carry-state
