#!/usr/bin/env bash
# Penn Treebank language modelling: words, running text in its order, exact softmax. The text is Mikolov's (10,000 words
# with <unk> and the end of the sentence); it is for research use and may not be passed on.
#
#   benchmarks/recipes/ptb.sh PTB RUNS [FLAGS...]
#
# PTB holds ptb.train.txt.xz, ptb.valid.txt.xz, ptb.test.txt.xz; RUNS is where everything is written. It goes on where it
# stopped when this is run again: an hour of one CPU core that has bfloat16. FLAGS go to the pretraining (such as
# --epochs 6). The best model on ptb.valid is the one that is measured.
set -euo pipefail
ptb=${1:?folder with ptb.train.txt.xz, ptb.valid.txt.xz and ptb.test.txt.xz}
runs=${2:?folder to write to}
here=$(dirname "$0")

mkdir -p "$runs"

# All 10,000 words of the training text: the run itself leaves out the few training sentences that ptb.valid has, too.
[ -f "$runs/ptb.words.txt" ] || python -c "
import sys
from collections import Counter
from ner_elmo.text.files import read_lines
counts = Counter(word for line in read_lines(sys.argv[1]) for word in line.split() if word != '<unk>')
print('<S>', '</S>', '<UNK>', *(word for word, _ in counts.most_common()), sep='\n')
" "$ptb/ptb.train.txt.xz" > "$runs/ptb.words.txt"
ner-elmo pretrain "$ptb/ptb.train.txt.xz" --heldout "$ptb/ptb.valid.txt.xz" --options "$here/ptb.options.json" \
    --vocab "$runs/ptb.words.txt" --carry-state --order text --rows 20 --unroll-steps 35 --softmax exact \
    --optimizer adam --learning-rate 0.002 --dropout 0.3 --epochs 10 --checkpoint-minutes 5 --language en \
    --licence "for research use: Wall Street Journal text of the Penn Treebank" "${@:3}" -o "$runs/ptb-bilm" --resume

# The forward test perplexity is the figure that is published for language models.
ner-elmo perplexity "$ptb/ptb.test.txt.xz" --bilm "$runs/ptb-bilm" --carry-state
