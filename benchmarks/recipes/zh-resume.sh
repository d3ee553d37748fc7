#!/usr/bin/env bash
# A tagger of Chinese résumés, which was models/zh once: every command, in order. Each step that takes long goes on where it stopped when this is run
# again. Pretraining takes about an hour of one CPU core, the six taggers half an hour.
#
#   benchmarks/recipes/zh-resume.sh LM NER RUNS
#
# LM holds zh.train.txt.xz and zh.heldout.txt.xz (Chinese, a blank between every two characters, one sentence a line),
# NER the folder resume with train.char.bmes, dev.char.bmes, test.char.bmes; RUNS is where everything is written.
set -euo pipefail
lm=${1:?folder with zh.train.txt.xz and zh.heldout.txt.xz}
ner=${2:?folder with resume/train.char.bmes, dev.char.bmes, test.char.bmes}
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
    --language zh --licence "$text_terms" --threads 1 -o "$runs/zh-bilm-first" --resume
# … then on in another order (the first run was float32, this one has products in bfloat16).
ner-elmo pretrain "$lm/zh.train.txt.xz" --heldout "$lm/zh.heldout.txt.xz" --init "$runs/zh-bilm-first" --min-count 3 \
    --softmax sampled --samples 1024 --epochs 1 --max-tokens 8000000 --seed 2 --checkpoint-minutes 5 \
    --language zh --licence "$text_terms" --threads 1 -o "$runs/zh-bilm" --resume
ner-elmo convert "$runs/zh-bilm" "$runs/zh-bilm-float16/zh" --to float16 --force

# Static vectors of characters on the same text, with gensim (pip install gensim).
[ -f "$runs/zh.vectors.txt" ] || python "$here/../../data/train_word_vectors.py" "$lm/zh.train.txt.xz" --epochs 5 \
    --threads 1 -o "$runs/zh.vectors.txt"

# The tagger with and without the biLM, three seeds each: a line of the accuracy table.
python "$here/../accuracy.py" --data "$ner" --bilm "zh=$runs/zh-bilm-float16/zh" \
    --word-vectors "zh=$runs/zh.vectors.txt" --corpora resume -o "$runs" \
    --flags "--storage float16 --keep-softmax --licence '$terms'"
