#!/usr/bin/env bash
# Other sequence labelling with the same commands: parts of speech and chunks of CoNLL-2003, Chinese words, and words
# together with entities (lexical analysis) from Weibo's position digits. Everything goes on where it stopped when this
# is run again.
#
#   benchmarks/recipes/other.sh NER RUNS
#
# NER holds conll2003 and weibo, RUNS is where everything is written, word vectors of both languages (en.vectors.txt,
# zh.vectors.txt) included: data/train_word_vectors.py makes them. On one CPU core about an hour in all.
set -euo pipefail
ner=${1:?folder with conll2003 and weibo}
runs=${2:?folder to write to}
models=$(dirname "$0")/../../models
conll=$ner/conll2003 weibo=$ner/weibo

tagger() {
    local name=$1
    shift
    ner-elmo train-tagger "$@" --resume -o "$runs/$name"
}

english=(--train "$conll/eng.train" --dev "$conll/eng.testa" --test "$conll/eng.testb"
    --word-vectors "$runs/en.vectors.txt" --epochs 8 --patience 3
    --schedule plateau --dropout 0.5 --elmo-dropout 0.5 --average 0 --learning-rate 0.001 --batch-sentences 32 --batch-tokens 2048)
for with in without "with --bilm $models/en"; do
    read -r name bilm <<< "$with"
    # shellcheck disable=SC2086  # two words, or none
    tagger "conll2003-pos.$name" "${english[@]}" $bilm --column 1 --scheme none
    # shellcheck disable=SC2086
    tagger "conll2003-chunks.$name" "${english[@]}" $bilm --column 2 --scheme iob1
done

for kind in segmentation lexical; do
    for part in train dev test; do
        ner-elmo convert "$weibo/weiboNER_2nd_conll.$part" "$runs/weibo.$kind.$part" --to "$kind" --force
    done
    chinese=(--train "$runs/weibo.$kind.train" --dev "$runs/weibo.$kind.dev" --test "$runs/weibo.$kind.test"
        --scheme iob2 --schedule plateau --dropout 0.5 --elmo-dropout 0.5 --average 0 --learning-rate 0.001 --batch-sentences 16 --batch-tokens 2048 --word-vectors "$runs/zh.vectors.txt" --epochs 30 --patience 6)
    tagger "weibo-$kind.without" "${chinese[@]}"
    tagger "weibo-$kind.with" "${chinese[@]}" --bilm "$models/zh"
done
